"""Assessment of a Service's rollout: a pure function of its Deployment and of the diagnosis of its pods."""

from __future__ import annotations

from typing import Final, NamedTuple

from modelyard.api.service import ServiceSpec
from modelyard.reconcile.objects import RolloutStatus
from modelyard.reconcile.pod_diagnosis import Diagnosis

REFUSED: Final = "ReplicasRefused"  # reason of conditions: the API server does not admit further pods
_PAUSED: Final = "the Deployment is paused: resume it with `kubectl rollout resume deployment`"


class RolloutAssessment(NamedTuple):
    """State of a rollout. It continues if it is neither complete nor failed."""

    complete: bool
    failed: bool
    reason: str
    message: str


def assess_rollout(
    status: RolloutStatus, spec: ServiceSpec, diagnosis: Diagnosis | None
) -> RolloutAssessment:
    """Assess a rollout by the rules of `kubectl rollout status`.

    A terminal diagnosis fails the rollout before progressDeadlineSeconds have passed. A refusal of pods, for
    example by a quota, fails it only after that time: the ReplicaSet retries, and the quota may be raised.
    """
    if _is_complete(status, spec):
        return RolloutAssessment(complete=True, failed=False, reason="Serving", message="")
    overdue = _is_overdue(status)
    if status.refused and not (diagnosis and diagnosis.terminal):
        return RolloutAssessment(False, overdue, REFUSED, status.refused)
    if diagnosis:
        return RolloutAssessment(False, diagnosis.terminal or overdue, diagnosis.code, diagnosis.message)
    if overdue:
        return RolloutAssessment(False, True, "RolloutDeadlineExceeded", status.overdue)
    if status.paused:
        return RolloutAssessment(False, False, "RolloutPaused", _PAUSED)
    return RolloutAssessment(False, False, "RollingOut", "replicas of the new version are starting")


def _is_overdue(status: RolloutStatus) -> bool:
    return status.observed >= status.generation and bool(status.overdue)


def _is_complete(status: RolloutStatus, spec: ServiceSpec) -> bool:
    if spec.num_replicas == 0 and not status.observed:
        return status.generation > 0  # a new Deployment of no replicas has nothing to roll out
    desired = status.desired if spec.num_replicas is None else spec.num_replicas
    return (
        status.observed >= status.generation > 0
        and status.updated >= desired
        and status.replicas == status.updated
        and status.available >= desired
    )
