"""The diagnosis of pods that do not become ready, as a table."""

from __future__ import annotations

from typing import Any

import pytest

from modelyard.reconcile.pod_diagnosis import diagnose_pods


def pod(name: str = "p", *, conditions: tuple[dict[str, str], ...] = (), **container: Any) -> dict[str, Any]:
    statuses = [{"name": "scoring", "image": "i@sha256:1", "state": {}} | container] if container else []
    return {"metadata": {"name": name}, "status": {"containerStatuses": statuses, "conditions": conditions}}


def waiting_container(reason: str, message: str = "") -> dict[str, Any]:
    return {"waiting": {"reason": reason, "message": message}}


def crashed_container(code: int, reason: str = "Error") -> dict[str, Any]:
    return {"terminated": {"exitCode": code, "reason": reason}}


NO_ROOM = ({"type": "PodScheduled", "status": "False", "message": "0/1 nodes are available"},)


@pytest.mark.parametrize(
    ("pods", "code", "terminal", "words"),
    [
        ([], None, None, ""),
        ([pod()], None, None, ""),
        ([{"metadata": {"name": "p"}}], None, None, ""),
        ([pod(state={"running": {}})], None, None, ""),
        ([pod(state=waiting_container("ContainerCreating"))], None, None, ""),
        ([pod(state=waiting_container("ErrImagePull", "denied"))], "ImagePullFailed", False, "denied"),
        ([pod(state=waiting_container("ImagePullBackOff"))], "ImagePullFailed", True, "i@sha256:1"),
        (
            [pod(state=waiting_container("CreateContainerConfigError", "no secret"))],
            "ContainerNotStarted",
            True,
            "no secret",
        ),
        ([pod(state=crashed_container(1))], None, None, ""),
        (
            [pod(state=waiting_container("CrashLoopBackOff"), lastState=crashed_container(3))],
            "ContainerCrashed",
            True,
            "init()",
        ),
        (
            [pod(state=waiting_container("CrashLoopBackOff"), lastState=crashed_container(1))],
            "ContainerCrashed",
            True,
            "exit code 1",
        ),
        (
            [pod(state={"running": {}}, lastState=crashed_container(1), restartCount=2)],
            "ContainerCrashed",
            True,
            "exit code 1",
        ),
        ([pod(state={"running": {}}, lastState=crashed_container(1), restartCount=1)], None, None, ""),
        (
            [pod(state=waiting_container("CrashLoopBackOff"), lastState=crashed_container(137, "OOMKilled"))],
            "ContainerCrashed",
            True,
            "memory",
        ),
        ([pod(conditions=NO_ROOM)], "Unschedulable", False, "0/1 nodes"),
        (
            [pod(conditions=NO_ROOM), pod("q", state=waiting_container("ImagePullBackOff"))],
            "ImagePullFailed",
            True,
            "pod q",
        ),
    ],
)
def test_diagnosis_of_pods(
    pods: list[dict[str, Any]], code: str | None, terminal: bool | None, words: str
) -> None:
    diagnosis = diagnose_pods(pods)
    assert (diagnosis and diagnosis.code, diagnosis and diagnosis.terminal) == (code, terminal)
    assert words in (diagnosis.message if diagnosis else "")
