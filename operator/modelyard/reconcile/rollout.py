"""Where a Service's rollout stands: pure, from its Deployment and the cause that was found, if any."""

from __future__ import annotations

from typing import NamedTuple

from modelyard.api.service import ServiceSpec
from modelyard.reconcile.objects import RolloutStatus
from modelyard.reconcile.pod_diagnosis import Diagnosis


class Progress(NamedTuple):
    """A rollout's state. Neither complete nor failed: it goes on."""

    complete: bool
    failed: bool
    reason: str
    message: str


def progress(rollout: RolloutStatus, spec: ServiceSpec, cause: Diagnosis | None) -> Progress:
    """Read a rollout as `kubectl rollout status` does; a cause that is final fails it before the deadline."""
    if _is_complete(rollout, spec):
        return Progress(complete=True, failed=False, reason="Serving", message="")
    if cause and (cause.terminal or _is_overdue(rollout)):
        return Progress(complete=False, failed=True, reason=cause.code, message=cause.message)
    if _is_overdue(rollout):
        return Progress(False, True, "RolloutDeadlineExceeded", rollout.overdue)
    if cause:
        return Progress(False, False, cause.code, cause.message)
    return Progress(False, False, "RollingOut", "replicas of the new version are starting")


def _is_overdue(rollout: RolloutStatus) -> bool:
    return rollout.observed >= rollout.generation and bool(rollout.overdue)


def _is_complete(rollout: RolloutStatus, spec: ServiceSpec) -> bool:
    if spec.num_replicas == 0 and not rollout.observed:
        return rollout.generation > 0  # a new Deployment of no replicas has nothing to wait for
    wanted = rollout.desired if spec.num_replicas is None else spec.num_replicas
    return (
        rollout.observed >= rollout.generation > 0
        and rollout.updated >= wanted
        and rollout.replicas == rollout.updated
        and rollout.available >= wanted
    )
