"""Read models of custom resources, children, Deployment statuses and build Jobs."""

from __future__ import annotations

import pytest
from tests.unit.reconcile.cache.bodies import IMAGE, MODEL, build_job, child, custom_object, deployment

from modelyard.api.names import REGISTRATION
from modelyard.api.owners import Owner
from modelyard.api.status import State
from modelyard.kube.types import Json
from modelyard.reconcile.objects import BuildJob, Child, CustomObject, RolloutStatus

OWNER = Owner("Service", "m", "u1")


def test_custom_object_is_parsed() -> None:
    metadata = {"annotations": {REGISTRATION: "again"}, "deletionTimestamp": "2026-01-01T00:00:00Z"}
    obj = CustomObject.read("Model", custom_object(7, generation=3, metadata=metadata, spec={"url": "u"}))
    assert (obj.key, obj.uid, obj.generation, obj.resource_version) == (MODEL, "u1", 3, 7)
    assert (obj.registration, obj.deleting, obj.spec, obj.status) == ("again", True, {"url": "u"}, {})


@pytest.mark.parametrize(
    ("status", "state", "ready"),
    [
        ({}, None, False),
        ({"state": "Running", "conditions": [{"type": "Ready", "status": "False"}]}, State.RUNNING, False),
        ({"state": "Succeeded", "conditions": [{"type": "Ready", "status": "True"}]}, State.SUCCEEDED, True),
    ],
)
def test_state_and_readiness_come_from_the_status(status: Json, state: State | None, ready: bool) -> None:
    obj = CustomObject.read("Model", custom_object(7, status=status))
    assert (obj.state, obj.has_condition("Ready")) == (state, ready)


def test_rollout_status_has_the_message_of_an_exceeded_deadline_only() -> None:
    assert RolloutStatus.read(deployment(1)).overdue == ""
    overdue = RolloutStatus.read(deployment(1, progressing="ProgressDeadlineExceeded")).overdue
    assert overdue == "it is ProgressDeadlineExceeded"


def test_rollout_status_has_the_refusal_of_pods_and_the_pause() -> None:
    body = deployment(1)
    assert (RolloutStatus.read(body).refused, RolloutStatus.read(body).paused) == ("", False)
    body["status"]["conditions"].append(
        {"type": "ReplicaFailure", "status": "True", "reason": "FailedCreate", "message": "exceeded quota"}
    )
    body["spec"]["paused"] = True
    assert (RolloutStatus.read(body).refused, RolloutStatus.read(body).paused) == ("exceeded quota", True)


def test_child_without_status_takes_the_status_of_the_cached_child() -> None:
    cached = Child.read(OWNER, deployment(1, available=1), None)
    assert cached.rollout.available == 1
    metadata = {"generation": 2}
    assert Child.read(OWNER, child(2, metadata=metadata), cached).rollout.available == 1
    assert Child.read(OWNER, child(2, uid="c2", metadata=metadata), cached).rollout.available == 0
    assert Child.read(OWNER, child(2, metadata=metadata), cached).rollout.generation == 2


def test_build_job_has_its_image_and_failure() -> None:
    job = BuildJob.read(build_job("a", 2, Failed="DeadlineExceeded"))
    assert job
    assert (job.image, job.version, job.attempt, job.reference) == (IMAGE, 2, 1, "")
    assert (job.complete, job.failed, job.reason) == (False, True, "DeadlineExceeded")
