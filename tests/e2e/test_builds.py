"""Builds: those that fail say why and leave the endpoint alone; a superseded one is cancelled."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Final, NamedTuple

import httpx
import pytest
from tests.support.cluster import Json, Kubectl, eventually
from tests.support.files import Files
from tests.support.objects import MODEL_DRIVER, constant_driver, image, manifest, model, service
from tests.support.operator import SYSTEM, build_jobs
from tests.support.status import condition, events, history, history_of_all, operation, wait_for_status

from modelyard.api.labels import JOB_NAME
from modelyard.contract.build_progress import is_pushed_line

Score = Callable[..., httpx.Response]
NO_SUCH_PACKAGE: Final = "modelyard-no-such-package==9.9"
WRONG_DIGEST: Final = "sha256:" + "0" * 64


class Failing(NamedTuple):
    """A Manifest that cannot be built, perhaps with a Model of its name, and the Image's expected error."""

    name: str
    code: str
    says: tuple[str, ...]
    objects: Callable[[Files], list[Json]]
    has_log: bool = True


def _spark(_: Files) -> list[Json]:
    spark = manifest("spark", constant_driver("never"))
    spark["spec"]["targetRuntime"]["runtimeType"] = "SparkPython"
    return [spark]


FAILING: Final = (
    Failing(
        "pip",
        "PackageNotFound",
        ("modelyard-no-such-package was not found",),
        lambda _: [manifest("pip", constant_driver("never"), pipRequirements=NO_SUCH_PACKAGE)],
    ),
    Failing(
        "missing",
        "SourceNotFound",
        ("404", "/nowhere"),
        lambda files: [model("missing", files.url("nowhere")), manifest("missing", MODEL_DRIVER, "missing")],
    ),
    Failing(
        "digest",
        "DigestMismatch",
        (WRONG_DIGEST,),
        lambda files: [
            model("digest", files.url("content/other"), digest=WRONG_DIGEST),
            manifest("digest", MODEL_DRIVER, "digest"),
        ],
    ),
    Failing("spark", "RuntimeNotSupported", ("SparkPython", "build.sparkImages"), _spark, has_log=False),
)


@pytest.fixture(scope="module")
def failed(namespace: Callable[[], Kubectl], files: Files) -> Kubectl:
    """A namespace in which all that fails is built side by side."""
    kubectl = namespace()
    for failing in FAILING:
        kubectl.apply(*failing.objects(files), image(failing.name))
    return kubectl


@pytest.mark.parametrize("failing", FAILING, ids=lambda failing: failing.name)
def test_failed_build_has_the_expected_error(failed: Kubectl, failing: Failing) -> None:
    told = wait_for_status(failed, "img", failing.name, 120, state="Failed", creationState="Failed")
    assert told["error"]["code"] == failing.code
    assert told["error"]["statusCode"] == 400
    assert condition(told, "Ready")["status"] == "False"
    assert condition(told, "Stalled")["status"] == "True"
    for text in failing.says:
        assert text in told["error"]["message"]
    assert operation(failed, "image", failing.name, 1) == "Failed"
    if failing.has_log:
        kept = failed("get", "--raw", told["imageBuildLogUri"])
        assert failing.says[0] in kept
    else:
        assert "imageBuildLogUri" not in told
        assert build_jobs(failed.namespace, failing.name) == []
    assert events(failed, "Image", failing.name)[-1] == failing.code


def test_pip_error_names_the_package_and_has_the_last_log_lines(failed: Kubectl) -> None:
    error = wait_for_status(failed, "img", "pip", 120, state="Failed")["error"]
    assert NO_SUCH_PACKAGE in error["message"]
    assert any(NO_SUCH_PACKAGE in detail["message"] for detail in error["details"])


def test_failed_image_leaves_the_service_on_the_old_version(kubectl: Kubectl, score: Score) -> None:
    kubectl.apply(manifest("echo", constant_driver("old")), image("echo"), service("echo", "echo"))
    before = wait_for_status(kubectl, "msvc", "echo", 120, state="Succeeded")
    with history(kubectl, "msvc", "echo", "{.status.conditions[?(@.type=='Available')].status}") as available:
        kubectl.apply(manifest("echo", constant_driver("new"), pipRequirements=NO_SUCH_PACKAGE))
        wait_for_status(kubectl, "img", "echo", 120, state="Failed", version=2)
        told = wait_for_status(
            kubectl, "msvc", "echo", 60, state="Succeeded", version=1,
            also=lambda told: "echo:2 failed" in condition(told, "Ready")["message"],
        )  # fmt: skip
    assert set(available) == {"True"}
    assert condition(told, "Ready")["status"] == "True"
    assert told["imageLocation"] == before["imageLocation"]
    assert score(kubectl, "echo").json() == "old"
    kubectl.apply(manifest("echo", constant_driver("mended")))
    wait_for_status(kubectl, "msvc", "echo", 120, state="Succeeded", imageId="echo:3")
    assert score(kubectl, "echo").json() == "mended"


def test_newer_version_cancels_the_build_of_an_older_one(kubectl: Kubectl, files: Files) -> None:
    kubectl.apply(
        model("echo", files.url("slow/300/1")), manifest("echo", MODEL_DRIVER, "echo"), image("echo")
    )
    wait_for_status(
        kubectl, "img", "echo", 120, state="Running", version=1, also=lambda told: "progress" in told
    )
    (first,) = build_jobs(kubectl.namespace, "echo")
    kubectl.patch("mdl", "echo", {"spec": {"url": files.url("content/2")}})
    wait_for_status(kubectl, "img", "echo", 120, state="Succeeded", version=2)
    eventually(
        lambda: [job["metadata"]["uid"] for job in build_jobs(kubectl.namespace, "echo")].count(
            first["metadata"]["uid"]
        ) == 0,
        20, "the Job of version 1 is gone",
    )  # fmt: skip
    assert "progress" not in wait_for_status(kubectl, "img", "echo", 60, version=2)
    assert operation(kubectl, "image", "echo", 1) == "Cancelled"
    assert operation(kubectl, "image", "echo", 2) == "Succeeded"
    assert "Cancelled" in events(kubectl, "Image", "echo")


def _first(state: str, lines: list[str]) -> dict[str, int]:
    """Return the resource version of each object's first line with a state.

    Each line has a name, a resource version and a state. Resource versions of one API server are in order
    (https://kubernetes.io/docs/reference/using-api/api-concepts/#resource-versions).
    """
    found: dict[str, int] = {}
    for line in lines:
        name, *version = line.split()
        if version[1:] == [state]:
            found.setdefault(name, int(version[0]))
    return found


def test_build_ends_when_its_image_is_in_the_registry(kubectl: Kubectl, files: Files) -> None:
    """A kubelet looks for containers that ended once a second: now and then that is at once."""
    kubectl.apply(manifest("echo", MODEL_DRIVER, "echo"), image("echo"))
    job_name = JOB_NAME.replace(".", "\\.")
    pod = f"{{.metadata.labels.{job_name}}} {{.metadata.resourceVersion}} {{.status.phase}}"
    built = "{.status.version} {.metadata.resourceVersion} {.status.state}"

    def is_over_before_its_pod(version: int) -> bool:
        kubectl.apply(model("echo", files.url(f"slow/2/{version}")))
        wait_for_status(kubectl, "img", "echo", 120, state="Succeeded", version=version)
        job = build_jobs(kubectl.namespace, "echo")[-1]["metadata"]["name"]
        eventually(lambda: job in _first("Succeeded", pods), 60, "the end of the pod")
        eventually(lambda: str(version) in _first("Succeeded", images), 60, "the end of the build")
        return _first("Succeeded", images)[str(version)] < _first("Succeeded", pods)[job]

    selector = ("--selector", "app.kubernetes.io/component=build")
    with (
        history(kubectl, "img", "echo", built) as images,
        history_of_all(SYSTEM, "pods", pod, *selector) as pods,
    ):
        assert any(map(is_over_before_its_pod, range(1, 6)))
    log = kubectl("get", "--raw", kubectl.get("img", "echo")["status"]["imageBuildLogUri"])
    assert is_pushed_line(json.loads(log)["data"]["log"].splitlines()[-1])


@contextmanager
def container(location: str) -> Iterator[str]:
    """`http://127.0.0.1:<port>` of an image that runs outside the cluster."""

    def docker(*arguments: str) -> str:
        return subprocess.run(
            ["docker", *arguments], check=True, capture_output=True, text=True, timeout=60
        ).stdout.strip()

    name = docker("run", "--detach", "--rm", "--publish", "127.0.0.1::5001", location)
    try:
        yield f"http://{docker('port', name, '5001')}"
    finally:
        docker("kill", name)


def _answer(url: str, **request: Any) -> httpx.Response | None:
    try:
        return httpx.post(f"{url}/score", timeout=5, **request)
    except httpx.TransportError:
        return None


@pytest.mark.skipif("CONTROL_PLANE_CONTAINER" not in os.environ, reason="needs the cluster's Docker engine")
def test_image_serves_without_a_cluster(shared: Kubectl) -> None:
    location = shared.get("img", "one")["status"]["imageLocation"]
    with container(location) as url:
        answer = eventually(lambda: _answer(url, content="{}"), 60, "an answer")
        assert answer is not None
        assert (answer.status_code, answer.json()) == (200, "one")
