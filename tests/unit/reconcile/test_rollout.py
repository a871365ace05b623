"""How a rollout is read, and why pods do not come up: tables."""

from __future__ import annotations

from typing import Any

import pytest

from modelyard.api.service import ServiceSpec
from modelyard.reconcile.objects import RolloutStatus
from modelyard.reconcile.pod_diagnosis import (
    Diagnosis,
    diagnose_pods,
)
from modelyard.reconcile.rollout import assess_rollout

FIXED = ServiceSpec(image_id="m", num_replicas=2)
NONE = ServiceSpec(image_id="m", num_replicas=0)
AUTOSCALED = ServiceSpec(image_id="m")
DONE = RolloutStatus(generation=3, observed=3, desired=2, replicas=2, updated=2, ready=2, available=2)
LATE = DONE._replace(available=1, overdue="too late")
FINAL = Diagnosis("ImagePullFailed", "no image", "p", terminal=True)
SLOW = Diagnosis("Unschedulable", "no room", "p", terminal=False)


@pytest.mark.parametrize(
    ("rollout", "spec", "diagnosis", "expected"),
    [
        (DONE, FIXED, None, (True, False, "Serving")),
        (DONE, FIXED, FINAL, (True, False, "Serving")),
        (DONE, AUTOSCALED, None, (True, False, "Serving")),
        (DONE._replace(desired=3), AUTOSCALED, None, (False, False, "RollingOut")),
        (DONE._replace(desired=9), FIXED, None, (True, False, "Serving")),
        (DONE._replace(observed=2), FIXED, None, (False, False, "RollingOut")),
        (DONE._replace(updated=1), FIXED, None, (False, False, "RollingOut")),
        (DONE._replace(replicas=3), FIXED, None, (False, False, "RollingOut")),
        (DONE._replace(available=1), FIXED, None, (False, False, "RollingOut")),
        (DONE._replace(available=1), FIXED, SLOW, (False, False, "Unschedulable")),
        (DONE._replace(available=1), FIXED, FINAL, (False, True, "ImagePullFailed")),
        (LATE, FIXED, None, (False, True, "RolloutDeadlineExceeded")),
        (LATE, FIXED, SLOW, (False, True, "Unschedulable")),
        (LATE._replace(observed=2), FIXED, None, (False, False, "RollingOut")),
        (RolloutStatus(), FIXED, None, (False, False, "RollingOut")),
        (RolloutStatus(), NONE, None, (False, False, "RollingOut")),
        (RolloutStatus(generation=1, observed=1), NONE, None, (True, False, "Serving")),
    ],
)
def test_progress(
    rollout: RolloutStatus, spec: ServiceSpec, diagnosis: Diagnosis | None, expected: tuple[bool, bool, str]
) -> None:
    assert assess_rollout(rollout, spec, diagnosis)[:3] == expected


def pod(name: str = "p", *, conditions: tuple[dict[str, str], ...] = (), **container: Any) -> dict[str, Any]:
    statuses = [{"name": "scoring", "image": "i@sha256:1", "state": {}} | container] if container else []
    return {"metadata": {"name": name}, "status": {"containerStatuses": statuses, "conditions": conditions}}


def waits(reason: str, message: str = "") -> dict[str, Any]:
    return {"waiting": {"reason": reason, "message": message}}


def crash(code: int, reason: str = "Error") -> dict[str, Any]:
    return {"terminated": {"exitCode": code, "reason": reason}}


NO_ROOM = ({"type": "PodScheduled", "status": "False", "message": "0/1 nodes are available"},)


@pytest.mark.parametrize(
    ("pods", "code", "final", "words"),
    [
        ([], None, None, ""),
        ([pod()], None, None, ""),
        ([{"metadata": {"name": "p"}}], None, None, ""),
        ([pod(state={"running": {}})], None, None, ""),
        ([pod(state=waits("ContainerCreating"))], None, None, ""),
        ([pod(state=waits("ErrImagePull", "denied"))], "ImagePullFailed", False, "denied"),
        ([pod(state=waits("ImagePullBackOff"))], "ImagePullFailed", True, "i@sha256:1"),
        (
            [pod(state=waits("CreateContainerConfigError", "no secret"))],
            "ContainerNotStarted",
            True,
            "no secret",
        ),
        ([pod(state=crash(1))], None, None, ""),
        ([pod(state=waits("CrashLoopBackOff"), lastState=crash(3))], "ContainerCrashed", True, "init()"),
        ([pod(state=waits("CrashLoopBackOff"), lastState=crash(1))], "ContainerCrashed", True, "exit code 1"),
        (
            [pod(state={"running": {}}, lastState=crash(1), restartCount=2)],
            "ContainerCrashed",
            True,
            "exit code 1",
        ),
        ([pod(state={"running": {}}, lastState=crash(1), restartCount=1)], None, None, ""),
        (
            [pod(state=waits("CrashLoopBackOff"), lastState=crash(137, "OOMKilled"))],
            "ContainerCrashed",
            True,
            "memory",
        ),
        ([pod(conditions=NO_ROOM)], "Unschedulable", False, "0/1 nodes"),
        (
            [pod(conditions=NO_ROOM), pod("q", state=waits("ImagePullBackOff"))],
            "ImagePullFailed",
            True,
            "pod q",
        ),
    ],
)
def test_causes(pods: list[dict[str, Any]], code: str | None, final: bool | None, words: str) -> None:
    diagnosis = diagnose_pods(pods)
    assert (diagnosis and diagnosis.code, diagnosis and diagnosis.terminal) == (code, final)
    assert words in (diagnosis.message if diagnosis else "")
