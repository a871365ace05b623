"""The Docker builder, for manifests that ask for it, in a namespace that at first does not admit its pods."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final

import httpx
import pytest
from tests.support.cluster import Kubectl
from tests.support.objects import CONTAINER_ANSWER, CONTAINER_DRIVER, image, manifest, service
from tests.support.operator import SYSTEM, build_jobs
from tests.support.status import wait_for_status

Score = Callable[..., httpx.Response]
LEVEL: Final = "pod-security.kubernetes.io/enforce"


def admit(level: str) -> None:
    """Set the Pod Security Standard of the release's namespace."""
    SYSTEM("label", "namespace", SYSTEM.namespace, "--overwrite", f"{LEVEL}={level}")


@pytest.fixture
def level() -> Iterator[str]:
    """The namespace's standard, which is set again at the end."""
    before: str = SYSTEM.get("namespace", SYSTEM.namespace)["metadata"]["labels"][LEVEL]
    yield before
    admit(before)


def test_image_that_needs_an_engine_is_built(level: str, kubectl: Kubectl, score: Score) -> None:
    assert level == "restricted"
    kubectl.apply(
        manifest("echo", CONTAINER_DRIVER, builder="Docker"), image("echo"), service("echo", "echo")
    )
    told = wait_for_status(
        kubectl, "img", "echo", 120, also=lambda told: "PodSecurity" in told.get("progress", "")
    )
    assert told["state"] == "Running"
    assert "hostPath" in told["progress"]
    admit("privileged")
    wait_for_status(kubectl, "img", "echo", 180, state="Succeeded")
    (job,) = build_jobs(kubectl.namespace, "echo")
    assert any("hostPath" in volume for volume in job["spec"]["template"]["spec"]["volumes"])
    wait_for_status(kubectl, "msvc", "echo", 120, state="Succeeded")
    assert score(kubectl, "echo").json() == CONTAINER_ANSWER
