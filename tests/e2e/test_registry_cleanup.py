"""The CronJob of `registry.cleanup`, started by hand: its log, deleted images and remaining images."""

from __future__ import annotations

import json
import os
import uuid
from collections.abc import Callable, Iterator
from typing import Final, NamedTuple

import httpx
import pytest
from tests.support.cluster import Kubectl
from tests.support.objects import constant_driver, image, manifest, service
from tests.support.operator import SYSTEM
from tests.support.status import location, wait_for_status

CRON_JOB: Final = "modelyard-cleanup"
PREFIX: Final = "modelyard-e2e"  # registry.repository of values.yaml
MANIFEST: Final = "application/vnd.oci.image.manifest.v1+json"


class Images(NamedTuple):
    """Digests of built images, by the objects that use them."""

    kubectl: Kubectl
    served: str
    older: str
    """An older version of the Image that is served, which another Service stays at."""
    pinned: str
    """Its Image is gone; a Deployment names it by digest."""
    forgotten: str

    def name(self, image_name: str, digest: str) -> str:
        """As the log names it."""
        return f"{PREFIX}/{self.kubectl.namespace}/{image_name}@{digest}"

    def status(self, image_name: str, digest: str) -> int:
        """Return the HTTP status of the registry for an image."""
        registry = f"{os.environ.get('REGISTRY_SCHEME', 'https')}://{os.environ['REGISTRY_PUSH']}"
        url = f"{registry}/v2/{PREFIX}/{self.kubectl.namespace}/{image_name}/manifests/{digest}"
        return httpx.head(url, headers={"Accept": MANIFEST}).status_code


@pytest.fixture(scope="module")
def images(namespace: Callable[[], Kubectl]) -> Images:
    kubectl = namespace()
    for name in ("echo", "pinned", "forgotten"):
        kubectl.apply(manifest(name, constant_driver(f"{name} 1")), image(name))
    for name in ("echo", "pinned", "forgotten"):
        wait_for_status(kubectl, "img", name, 120, state="Succeeded")
    kubectl.apply(
        manifest("echo", constant_driver("echo 2")), service("stays", "echo:1"), service("follows", "echo")
    )
    wait_for_status(kubectl, "msvc", "stays", 120, state="Succeeded", imageId="echo:1")
    wait_for_status(kubectl, "msvc", "follows", 120, state="Succeeded", imageId="echo:2")
    pinned, forgotten = location(kubectl, "pinned", 1), location(kubectl, "forgotten", 1)
    kubectl("create", "deployment", "foreign", f"--image={pinned}", "--replicas=0")
    kubectl("delete", "img", "pinned", "forgotten")
    kubectl(
        "wait", "controllerrevision/image-forgotten-1", "controllerrevision/image-pinned-1", "--for=delete",
        "--timeout=180s", timeout=190,
    )  # fmt: skip
    served, older = location(kubectl, "echo", 2), location(kubectl, "echo", 1)
    return Images(kubectl, *(place.rpartition("@")[2] for place in (served, older, pinned, forgotten)))


@pytest.fixture
def run() -> Iterator[Callable[..., str]]:
    """Makes a Job of the CronJob, its arguments replaced if others are given, and waits; the log."""
    made = []

    def job(*arguments: str) -> str:
        name = f"cleanup-{uuid.uuid4().hex[:8]}"
        body = json.loads(
            SYSTEM("create", "job", name, f"--from=cronjob/{CRON_JOB}", "--dry-run=client", "--output=json")
        )
        (container,) = body["spec"]["template"]["spec"]["containers"]
        container["args"] = list(arguments) or container["args"]
        SYSTEM.apply(body)
        made.append(name)
        SYSTEM("wait", f"job/{name}", "--for=condition=Complete", "--timeout=120s", timeout=130)
        return SYSTEM("logs", f"job/{name}")

    yield job
    SYSTEM("delete", "job", *made, "--ignore-not-found")


def test_cleanup_lists_and_then_deletes_unused_images(images: Images, run: Callable[..., str]) -> None:
    """Run both calls in one test: the second one deletes only images that the first one has listed."""
    space = images.kubectl.namespace
    used = {
        images.name("echo", images.served): ("Image", "echo:2", "Service", "Deployment", "follows"),
        images.name("echo", images.older): ("Image", "echo:1", "Service", "Deployment", "stays"),
        images.name("pinned", images.pinned): (f"Deployment {space}/foreign",),
    }
    forgotten = images.name("forgotten", images.forgotten)

    listed = run("images", "list").splitlines()
    for name, users in used.items():
        (line,) = (line for line in listed if name in line)
        assert line.startswith("needed  ")
        for user in users:
            assert user in line
    assert [line for line in listed if line.startswith(f"unused  {forgotten}  since ")]
    assert images.status("forgotten", images.forgotten) == 200

    told = run().splitlines()
    assert f"deleted {forgotten}" in told
    assert not [line for line in told if line.startswith("deleted ") and any(name in line for name in used)]
    assert told[-1].endswith("0 have been unused for too short a time")
    assert images.status("forgotten", images.forgotten) == 404
    for name, digest in (("echo", images.served), ("echo", images.older), ("pinned", images.pinned)):
        assert images.status(name, digest) == 200

    assert forgotten not in run("images", "list")
