"""Outcome of a rollout: running, failed, or complete and serving."""

from __future__ import annotations

import datetime as dt
from typing import Final, NamedTuple

from modelyard.api.revision import Revision
from modelyard.api.service import ServiceSpec
from modelyard.api.status import State
from modelyard.reconcile.context import Context
from modelyard.reconcile.objects import CustomObject, RolloutStatus
from modelyard.reconcile.outcome import Outcome, failed
from modelyard.reconcile.pod_diagnosis import Diagnosis
from modelyard.reconcile.rollout import RolloutAssessment, assess_rollout
from modelyard.reconcile.services.crash_report import diagnose, rollout_error
from modelyard.reconcile.services.served_image import IMAGE_NOT_READY, newer_image
from modelyard.reconcile.services.sleep import Sleep, seconds_to_wake, sleep_of
from modelyard.reconcile.timestamps import parse_timestamp

_DIAGNOSIS_AFTER_SECONDS: Final = 4.0  # a usual rollout ends within this time without a look at its pods
_MAX_RECHECK_SECONDS: Final = 60.0  # between two diagnoses of pods that do not become ready


class _Verdict(NamedTuple):
    """The assessment of a rollout that is not complete."""

    assessment: RolloutAssessment
    diagnosis: Diagnosis | None
    recheck_seconds: float


async def rollout_outcome(
    ctx: Context, obj: CustomObject, spec: ServiceSpec, revision: Revision, rollout: RolloutStatus
) -> Outcome:
    """Return the outcome of a version's first rollout, which is not complete."""
    started = parse_timestamp(revision.created)
    verdict = await _assess(ctx, obj, spec, revision, rollout, started)
    assessment, recheck = verdict.assessment, verdict.recheck_seconds
    if assessment.failed:
        error = await rollout_error(ctx, obj, assessment, verdict.diagnosis)
        return failed(assessment.reason, assessment.message, revision, error=error, requeue_after=recheck)
    message = f"{revision.id}: {assessment.message}"
    return Outcome(State.RUNNING, assessment.reason, message, revision, requeue_after=recheck)


async def repeated_rollout_outcome(
    ctx: Context, obj: CustomObject, spec: ServiceSpec, revision: Revision, rollout: RolloutStatus
) -> Outcome:
    """Return the outcome of a rollout of new pods for a version that was rolled out before.

    A changed template or `kubectl rollout restart` starts it. The operation of the version stays Succeeded:
    only the conditions report the rollout.
    """
    started = _not_ready_since(obj) or ctx.now()
    verdict = await _assess(ctx, obj, spec, revision, rollout, started)
    return Outcome(
        State.SUCCEEDED,
        verdict.assessment.reason,
        f"{revision.id}, new pods of the same version: {verdict.assessment.message}",
        revision,
        ready=False,
        stalled=verdict.assessment.failed,
        requeue_after=verdict.recheck_seconds,
    )


def _not_ready_since(obj: CustomObject) -> dt.datetime | None:
    """Return the time since which the status reports that a Service is not ready, None if it is ready."""
    condition = obj.condition("Ready")
    if condition is None or condition["status"] == "True":
        return None
    return parse_timestamp(condition["lastTransitionTime"])


async def _assess(
    ctx: Context,
    obj: CustomObject,
    spec: ServiceSpec,
    revision: Revision,
    rollout: RolloutStatus,
    started: dt.datetime,
) -> _Verdict:
    """Assess a rollout, with a diagnosis of its pods once it takes longer than usual."""
    age = (ctx.now() - started).total_seconds()
    diagnosis = None
    if age >= _DIAGNOSIS_AFTER_SECONDS:
        diagnosis = await diagnose(ctx, obj, revision)
    if diagnosis and _failed_before(obj, revision, diagnosis):
        # A restarted container passes through states that are not terminal, before it crashes again.
        diagnosis = diagnosis._replace(terminal=True)
    recheck = min(max(age, _DIAGNOSIS_AFTER_SECONDS), _MAX_RECHECK_SECONDS)
    return _Verdict(assess_rollout(rollout, spec, diagnosis), diagnosis, recheck)


def was_rolled_out(obj: CustomObject, revision: Revision) -> bool:
    """Return True if a version was rolled out before: scaling or a later crash is no new rollout."""
    if revision.state is State.SUCCEEDED:
        return True
    return obj.state is State.SUCCEEDED and obj.status.get("version") == revision.version


def is_serving(outcome: Outcome) -> bool:
    """Return True for the outcome of a version that was rolled out, also while a newer image is built."""
    is_waiting = outcome.state is State.RUNNING and outcome.reason == IMAGE_NOT_READY
    return is_waiting or outcome.state is State.SUCCEEDED


def _failed_before(obj: CustomObject, revision: Revision, diagnosis: Diagnosis) -> bool:
    """Return True if the status reports the failure of this version with the same diagnosis."""
    stalled = obj.condition("Stalled")
    if stalled is None or obj.status.get("version") != revision.version:
        return False
    return bool(stalled["status"] == "True" and stalled["reason"] == diagnosis.code)


async def serving_outcome(
    ctx: Context,
    obj: CustomObject,
    spec: ServiceSpec,
    revision: Revision,
    image: Revision,
    rollout: RolloutStatus,
) -> Outcome:
    """Return the outcome of a version that was rolled out."""
    message = f"serving Image {image.id}"
    newer = newer_image(ctx, spec, image)
    if newer and newer.state is None:
        message += f"; waiting for Image {newer.id}, which is not built yet"
        return Outcome(State.RUNNING, IMAGE_NOT_READY, message, revision)
    if newer:
        message += f"; the build of Image {newer.id} failed"
    if rollout.available > 0 or rollout.desired == 0:
        return Outcome(State.SUCCEEDED, "Serving", message, revision)
    sleep = sleep_of(ctx, obj, spec, rollout)
    if sleep is Sleep.WAKING:
        left = max(seconds_to_wake(ctx, obj), 1.0)
        return Outcome(State.SUCCEEDED, "Serving", message, revision, requeue_after=left)
    message = f"no replica of {revision.id} is available"
    if rollout.refused:
        message += f": {rollout.refused}"
    if sleep is not Sleep.OVERDUE:
        return Outcome(State.SUCCEEDED, "Unavailable", message, revision, ready=False)
    if not rollout.refused and (diagnosis := await diagnose(ctx, obj, revision)):
        message += f": {diagnosis.cause}"
    return Outcome(
        State.SUCCEEDED,
        "Unavailable",
        message,
        revision,
        ready=False,
        requeue_after=_MAX_RECHECK_SECONDS,  # the cause may change
    )
