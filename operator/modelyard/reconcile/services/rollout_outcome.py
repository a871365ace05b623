"""Outcome of a rollout: running, failed, or complete and serving."""

from __future__ import annotations

from typing import Final

from modelyard.api.revision import Revision
from modelyard.api.service import ServiceSpec
from modelyard.api.status import State
from modelyard.reconcile.context import Context
from modelyard.reconcile.objects import CustomObject, RolloutStatus
from modelyard.reconcile.outcome import Outcome, failed
from modelyard.reconcile.pod_diagnosis import Diagnosis
from modelyard.reconcile.rollout import assess_rollout
from modelyard.reconcile.services.crash_report import diagnose, rollout_error
from modelyard.reconcile.services.served_image import IMAGE_NOT_READY, newer_image
from modelyard.reconcile.timestamps import parse_timestamp

_DIAGNOSIS_AFTER_SECONDS: Final = 4.0  # a usual rollout ends within this time without a look at its pods
_MAX_RECHECK_SECONDS: Final = 60.0  # between two diagnoses of pods that do not become ready


async def rollout_outcome(
    ctx: Context, obj: CustomObject, spec: ServiceSpec, revision: Revision, rollout: RolloutStatus, image: str
) -> Outcome:
    """Return the outcome of a rollout that is not complete."""
    age = (ctx.now() - parse_timestamp(revision.created)).total_seconds()
    diagnosis = None
    if age >= _DIAGNOSIS_AFTER_SECONDS:
        diagnosis = await diagnose(ctx, obj, spec, revision, image)
    if diagnosis and _failed_before(obj, revision, diagnosis):
        # A restarted container passes through states that are not terminal, before it crashes again.
        diagnosis = diagnosis._replace(terminal=True)
    assessment = assess_rollout(rollout, spec, diagnosis)
    reason, message = assessment.reason, assessment.message
    recheck = min(max(age, _DIAGNOSIS_AFTER_SECONDS), _MAX_RECHECK_SECONDS)
    if assessment.failed:
        error = await rollout_error(ctx, obj, assessment, diagnosis)
        return failed(reason, message, revision, error=error, requeue_after=recheck)
    return Outcome(State.RUNNING, reason, f"{revision.id}: {message}", revision, requeue_after=recheck)


def was_rolled_out(obj: CustomObject, revision: Revision) -> bool:
    """Return True if a version was rolled out before: scaling or a later crash is no new rollout."""
    if revision.state is State.SUCCEEDED:
        return True
    return obj.state is State.SUCCEEDED and obj.status.get("version") == revision.version


def _failed_before(obj: CustomObject, revision: Revision, diagnosis: Diagnosis) -> bool:
    """Return True if the status reports the failure of this version with the same diagnosis."""
    if obj.state is not State.FAILED or obj.status.get("version") != revision.version:
        return False
    return bool(obj.status.get("error", {}).get("code") == diagnosis.code)


def serving_outcome(
    ctx: Context, spec: ServiceSpec, revision: Revision, image: Revision, rollout: RolloutStatus
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
    message = f"no replica of {revision.id} is available"
    return Outcome(State.SUCCEEDED, "Unavailable", message, revision, ready=False)
