"""The diagnosis of pods that do not become ready, as a table."""

from __future__ import annotations

import datetime as dt
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


NO_CLAIM = ({"type": "PodScheduled", "status": "False", "message": "persistentvolumeclaim not found"},)
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
        ([pod(conditions=NO_ROOM)], "Unschedulable", False, "no node has room for pod p: 0/1 nodes"),
        ([pod(conditions=NO_CLAIM)], "Unschedulable", False, "cannot schedule pod p: persistentvolumeclaim"),
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


RECORDED = dt.datetime(2026, 1, 1, 12, tzinfo=dt.UTC)
BEFORE, AFTER = "2026-01-01T11:59:59Z", "2026-01-01T12:00:00Z"
READY = ({"type": "Ready", "status": "True"},)


def restarted_pod(created: str, finished: str | None, **more: Any) -> dict[str, Any]:
    """Return a pod whose container runs after two restarts."""
    ended = crashed_container(1)
    ended["terminated"]["finishedAt"] = finished
    found = pod(**{"state": {"running": {}}, "lastState": ended, "restartCount": 2} | more)
    found["metadata"]["creationTimestamp"] = created
    return found


@pytest.mark.parametrize(
    ("subject", "terminal"),
    [
        (restarted_pod(AFTER, AFTER), True),
        (restarted_pod(BEFORE, AFTER), False),
        (restarted_pod(BEFORE, BEFORE), None),
        (restarted_pod(BEFORE, None), None),
        (restarted_pod(BEFORE, AFTER, restartCount=1), None),
        (restarted_pod(BEFORE, BEFORE, state=waiting_container("CrashLoopBackOff")), True),
        (restarted_pod(AFTER, AFTER, conditions=READY), None),
        (restarted_pod(AFTER, AFTER, ready=True), None),
    ],
)
def test_restarts_before_the_record_are_no_failure(subject: dict[str, Any], terminal: bool | None) -> None:
    diagnosis = diagnose_pods([subject], RECORDED)
    assert (diagnosis and diagnosis.terminal) is terminal


def test_pod_that_is_being_deleted_has_no_diagnosis() -> None:
    deleted = pod(state=waiting_container("CrashLoopBackOff"), lastState=crashed_container(3))
    deleted["metadata"]["deletionTimestamp"] = AFTER
    assert diagnose_pods([deleted], RECORDED) is None


def test_injected_container_that_fails_is_named() -> None:
    proxy = {
        "name": "proxy-init",
        "image": "proxy:1",
        "state": waiting_container("ImagePullBackOff", "denied"),
    }
    subject = pod(state=waiting_container("PodInitializing"))
    subject["status"]["initContainerStatuses"] = [{"name": "done", "ready": True, "state": {}}, proxy]
    diagnosis = diagnose_pods([subject], RECORDED)
    assert diagnosis is not None
    assert diagnosis.message == "container proxy-init of pod p cannot pull proxy:1: denied"


def test_crash_of_an_injected_container_leads_to_its_log() -> None:
    waiting = waiting_container("CrashLoopBackOff")
    subject = pod(state={"running": {}}, ready=False)
    subject["status"]["initContainerStatuses"] = [
        {"name": "proxy", "state": waiting, "lastState": crashed_container(3)}
    ]
    diagnosis = diagnose_pods([subject], RECORDED)
    assert diagnosis is not None
    assert (diagnosis.container, diagnosis.crashed) == ("proxy", True)
    assert "exit code 3" in diagnosis.message


@pytest.mark.parametrize(("created", "code"), [(AFTER, "PodFailed"), (BEFORE, None)])
def test_evicted_pod_is_reported_until_the_next_version(created: str, code: str | None) -> None:
    status = {"phase": "Failed", "reason": "Evicted", "message": "The node was low on resource: memory."}
    subject = {"metadata": {"name": "p", "creationTimestamp": created}, "status": status}
    diagnosis = diagnose_pods([subject], RECORDED)
    assert (diagnosis and diagnosis.code) == code
    assert diagnosis is None or (not diagnosis.terminal and "low on resource" in diagnosis.message)


LIMITED = {
    "containers": [
        {"name": "scoring", "resources": {"requests": {"memory": "512Mi"}, "limits": {"memory": "2Gi"}}},
    ]
}


@pytest.mark.parametrize(
    ("ended", "report"),
    [
        (crashed_container(137, "OOMKilled"), ""),
        (crashed_container(4), ""),
        (
            {"terminated": {"exitCode": 4, "message": "the kernel killed\na worker"}},
            " (the kernel killed a worker)",
        ),
    ],
    ids=["container", "worker process", "with a report"],
)
def test_end_for_want_of_memory_has_limit_reservation_and_way_out(ended: dict[str, Any], report: str) -> None:
    found = pod(state=waiting_container("CrashLoopBackOff"), lastState=ended) | {"spec": LIMITED}
    (diagnosis,) = [diagnose_pods([found])]
    assert diagnosis is not None
    assert diagnosis.message == (
        f"pod p ran out of memory: it reached its memory limit of 2Gi, and reserves 512Mi{report}."
        " Raise containerResourceReservation.memory, and pod.resources.limits.memory if it is set, or lower"
        " maxConcurrentRequestsPerContainer"
    )
