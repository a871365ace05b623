"""Faults during a build or a rollout: the operator recovers, nothing runs twice, and no request fails."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator

import httpx
from tests.support.cluster import Json, Kubectl, eventually
from tests.support.faults import REGISTRY, crash_api_server, docker, needs_own_cluster
from tests.support.files import Files
from tests.support.load import Load
from tests.support.objects import MODEL_DRIVER, constant_driver, image, manifest, model, service
from tests.support.operator import build_jobs, kill_operator, operator_pod, restarts
from tests.support.status import condition, events, operation, versions, wait_for_status

Make = Callable[..., str]
Score = Callable[..., httpx.Response]


def slow(files: Files, seconds: int, answer: str) -> list[Json]:
    """All four; the build takes so long at least."""
    return [
        model("echo", files.url(f"slow/{seconds}/{answer}")),
        manifest("echo", MODEL_DRIVER, "echo"),
        image("echo"),
        service("echo", "echo"),
    ]


def test_build_survives_the_kill_of_the_operator(kubectl: Kubectl, files: Files, score: Score) -> None:
    kubectl.apply(*slow(files, 6, "built"))
    wait_for_status(kubectl, "img", "echo", 60, state="Running")
    (before,) = eventually(lambda: build_jobs(kubectl.namespace, "echo"), 60, "a build Job")
    kill_operator()
    wait_for_status(kubectl, "msvc", "echo", 120, state="Succeeded")
    (after,) = build_jobs(kubectl.namespace, "echo")
    assert after["metadata"]["uid"] == before["metadata"]["uid"]
    for kind in ("model", "manifest", "image", "service"):
        assert versions(kubectl, kind, "echo") == [1]
    assert events(kubectl, "Image", "echo") == ["Building", "Built"]
    assert score(kubectl, "echo").json() == "built"


def test_rollout_survives_the_kill_of_the_operator(shared: Kubectl, make_service: Make) -> None:
    name = make_service("one", numReplicas=2)
    with Load(shared, name, "{}", connections=4, per_second=100) as load:
        shared.patch("msvc", name, {"spec": {"imageId": "two"}})
        wait_for_status(shared, "msvc", name, 60, state="Running", version=2)
        kill_operator()
        wait_for_status(shared, "msvc", name, 120, state="Succeeded", version=2)
        operator_pod()
        load.wait(8)  # the old pods stop during these seconds
        ok, failed, errors = load.total()
        answers = load.seconds()[-1]["answers"]
    assert (failed, errors) == (0, {})
    assert ok > 300
    assert set(answers) == {'"two"'}
    assert versions(shared, "service", name) == [1, 2]
    assert operation(shared, "service", name, 1) == "Succeeded"


@contextlib.contextmanager
def registry_down() -> Iterator[None]:
    docker("stop", "--time", "2", REGISTRY)
    try:
        yield
    finally:
        docker("start", REGISTRY)


@needs_own_cluster
def test_build_waits_for_the_registry(kubectl: Kubectl) -> None:
    with registry_down():
        kubectl.apply(manifest("echo", constant_driver("at last")), image("echo"))
        told = wait_for_status(kubectl, "img", "echo", 120, state="Failed")
        assert told["error"]["code"] == "RegistryUnavailable"
        assert told["error"]["statusCode"] == 503
        assert "the operator retries" in condition(told, "Ready")["message"]
        assert condition(told, "Stalled")["status"] == "False"
        assert condition(told, "Reconciling")["status"] == "True"
    wait_for_status(kubectl, "img", "echo", 120, state="Succeeded", version=1)


@needs_own_cluster
def test_build_survives_a_restart_of_the_api_server(kubectl: Kubectl, files: Files, score: Score) -> None:
    kubectl.apply(*slow(files, 8, "first"))
    wait_for_status(kubectl, "img", "echo", 60, state="Running")
    (before,) = eventually(lambda: build_jobs(kubectl.namespace, "echo"), 60, "a build Job")
    operator = restarts()
    crash_api_server(kubectl)
    wait_for_status(kubectl, "msvc", "echo", 180, despite=(RuntimeError,), state="Succeeded")
    (after,) = build_jobs(kubectl.namespace, "echo")
    assert after["metadata"]["uid"] == before["metadata"]["uid"]
    assert score(kubectl, "echo").json() == "first"
    kubectl.patch("mdl", "echo", {"spec": {"url": files.url("content/second")}})
    wait_for_status(kubectl, "msvc", "echo", 120, state="Succeeded", version=2)
    assert score(kubectl, "echo").json() == "second"
    assert restarts() == operator
