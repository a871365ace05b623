"""Reconciler of Services: the newest built image is rolled out, with an autoscaler and access keys."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from typing import Any, Final

from modelyard.api import labels
from modelyard.api.access_keys import missing_keys
from modelyard.api.kinds import IMAGE, MANIFEST
from modelyard.api.names import parse_version_reference
from modelyard.api.owners import Owner
from modelyard.api.revision import Revision
from modelyard.api.service import ServiceSpec
from modelyard.api.status import ErrorDetail, ErrorResponse, State
from modelyard.kube.errors import KubeError
from modelyard.kube.types import (
    AUTOSCALERS,
    CORE_SERVICES,
    DEPLOYMENTS,
    DISRUPTION_BUDGETS,
    PODS,
    SECRETS,
    Json,
    Key,
)
from modelyard.reconcile import revisions
from modelyard.reconcile.children import NameTaken, create_or_patch, ensure_absent
from modelyard.reconcile.context import Context
from modelyard.reconcile.objects import CustomObject, RolloutStatus
from modelyard.reconcile.outcome import Condition, Outcome, failed, name_taken, waiting
from modelyard.reconcile.pod_diagnosis import Diagnosis, diagnose_pods
from modelyard.reconcile.references import has_same_content
from modelyard.reconcile.revisions import Missing
from modelyard.reconcile.rollout import REFUSED, RolloutAssessment, assess_rollout
from modelyard.reconcile.timestamps import parse_timestamp
from modelyard.resources import serving

_DIAGNOSIS_AFTER_SECONDS: Final = 4.0  # a usual rollout ends within this time without a look at its pods
_MAX_RECHECK_SECONDS: Final = 60.0  # between two diagnoses of pods that do not become ready
_LOG_LINES: Final = 20
_IMAGE_NOT_READY: Final = "ImageNotReady"
# final state of the Image's version → reason and message of the status
_UNBUILT: Final[dict[State | None, tuple[str, str]]] = {
    State.FAILED: ("ImageFailed", "whose build failed"),
    State.CANCELLED: ("ImageCancelled", "whose build a newer version cancelled: refer to a newer one"),
}


async def reconcile(ctx: Context, obj: CustomObject) -> Outcome:
    """Find the image, record the version, write the children, follow the rollout."""
    spec = ServiceSpec.model_validate(obj.spec)
    outcome = await _phases(ctx, obj, spec)
    revision = outcome.revision
    if revision is None:
        return outcome
    await _record_success(ctx, obj, revision, outcome)
    # Running pods serve on after a failure, too, so each outcome has the replicas in its status.
    rollout = _rollout_status(ctx, obj)
    return dataclasses.replace(
        outcome, fields=_fields(ctx, obj, spec, revision, rollout), conditions=_conditions(spec, rollout)
    )


async def _phases(ctx: Context, obj: CustomObject, spec: ServiceSpec) -> Outcome:
    image = _built_image(ctx, obj, spec)
    if isinstance(image, Outcome):
        return image
    content = revisions.content_of(spec, obj, imageId=image.id)
    revision = await revisions.ensure_revision(ctx, obj, content, references=[image])
    location = str(image.location)
    try:
        await _write_children(ctx, obj, spec, location)
    except NameTaken as error:
        return name_taken(error, revision)
    rollout = _rollout_status(ctx, obj)
    if _was_rolled_out(obj, revision) or assess_rollout(rollout, spec, None).complete:
        return _serving_outcome(ctx, spec, revision, image, rollout)
    return await _rollout_outcome(ctx, obj, spec, revision, rollout, location)


async def _record_success(ctx: Context, obj: CustomObject, revision: Revision, outcome: Outcome) -> None:
    """Record the success of a rollout in the revision, unless the status has it."""
    serves = outcome.state is State.SUCCEEDED or (
        outcome.state is State.RUNNING and outcome.reason == _IMAGE_NOT_READY
    )
    rolled_out = serves or _was_rolled_out(obj, revision)
    in_status = outcome.state is State.SUCCEEDED and revision.state is None
    if rolled_out and not in_status and revision.state is not State.SUCCEEDED:
        await revisions.end_operation(ctx, revision, State.SUCCEEDED)


def _built_image(ctx: Context, obj: CustomObject, spec: ServiceSpec) -> Revision | Outcome:
    """Return the version of the Image to serve, or the outcome while there is none."""
    newest = ctx.cache.revisions.newest(obj.key)
    image = revisions.resolve(ctx, IMAGE, obj.key.namespace, spec.image_id)
    if isinstance(image, Missing):
        return waiting("ImageNotFound", image.message, newest)
    reference = parse_version_reference(spec.image_id)
    built = image if reference.version else ctx.cache.revisions.newest_built(image.key)
    if built and built.location:
        return built
    if labels.IMAGE_RELEASED in image.annotations:
        ctx.queue.add(image.key)  # its reconcile builds the image again
    reason, detail = _UNBUILT.get(image.state, (_IMAGE_NOT_READY, "which is not built yet"))
    return waiting(reason, f"waiting for Image {image.id}, {detail}", newest)


def _newer_image(ctx: Context, spec: ServiceSpec, served: Revision) -> Revision | None:
    """Return the version of the Image that a Service will follow next, None if there is none."""
    if parse_version_reference(spec.image_id).version:
        return None
    newest = ctx.cache.revisions.newest(served.key)
    return newest if newest and newest.version > served.version else None


async def _write_children(ctx: Context, obj: CustomObject, spec: ServiceSpec, image: str) -> None:
    """Create, patch and delete the children of a Service. Raises NameTaken and Conflict."""
    owner = revisions.as_owner(obj)
    name = owner.name
    await _write_keys(ctx, obj, owner)
    if not spec.autoscales:
        # Delete the autoscaler before setting replicas: it would set its own number again.
        await ensure_absent(ctx, obj, AUTOSCALERS, name)
    await create_or_patch(
        ctx,
        obj,
        DEPLOYMENTS,
        name,
        lambda: serving.deployment(owner, spec, image, ctx.settings.scoring),
        inputs=image,
        on_create=lambda: {"spec": {"replicas": spec.min_replicas}},
    )
    if spec.num_replicas is None:
        await _scale_from_zero(ctx, obj, spec)
    await create_or_patch(ctx, obj, CORE_SERVICES, name, lambda: serving.core_service(owner))
    if spec.autoscales:
        await create_or_patch(ctx, obj, AUTOSCALERS, name, lambda: serving.autoscaler(owner, spec))
    if _needs_budget(ctx, obj, spec):
        await create_or_patch(ctx, obj, DISRUPTION_BUDGETS, name, lambda: serving.disruption_budget(owner))
    else:
        await ensure_absent(ctx, obj, DISRUPTION_BUDGETS, name)


def _needs_budget(ctx: Context, obj: CustomObject, spec: ServiceSpec) -> bool:
    """Return True if the Service has, or has had, more than one replica with its present scaling.

    A budget of maxUnavailable 1 never blocks the eviction of a single replica. So a Service with
    minReplicas 1 gets its budget with the second replica, and keeps it when the autoscaler scales down.
    """
    if spec.min_replicas > 1:
        return True
    if not spec.autoscales or spec.scaling.effective_max == 1:
        return False
    exists = ctx.cache.children.get(DISRUPTION_BUDGETS, obj.key.namespace, obj.key.name) is not None
    return exists or _rollout_status(ctx, obj).desired > 1


async def _scale_from_zero(ctx: Context, obj: CustomObject, spec: ServiceSpec) -> None:
    """Give a Deployment with 0 replicas the minimum: an autoscaler is off while its target has 0.

    https://kubernetes.io/docs/tasks/run-application/horizontal-pod-autoscale/#implicit-maintenance-mode-deactivation
    """
    status = _rollout_status(ctx, obj)
    if status.observed and status.observed == status.generation and status.desired == 0:
        patch = {"spec": {"replicas": spec.min_replicas}}
        written = await ctx.client.patch(DEPLOYMENTS, obj.key.namespace, obj.key.name, patch)
        ctx.cache.children.store_written(DEPLOYMENTS, written)


async def _write_keys(ctx: Context, obj: CustomObject, owner: Owner) -> None:
    """Create the Secret with both access keys, or add a key that was removed from it."""
    name = labels.keys_name(owner.name)
    live = await create_or_patch(
        ctx,
        obj,
        SECRETS,
        name,
        lambda: serving.keys(owner),
        on_create=lambda: {"data": missing_keys({})},
    )
    if live and (missing := missing_keys(live.get("data") or {})):
        written = await ctx.client.patch(SECRETS, obj.key.namespace, name, {"data": missing})
        ctx.cache.children.store_written(SECRETS, written)


def _rollout_status(ctx: Context, obj: CustomObject) -> RolloutStatus:
    """Return the cached status of the Deployment, all zeros if there is no Deployment."""
    child = ctx.cache.children.get(DEPLOYMENTS, obj.key.namespace, obj.key.name)
    return child.rollout if child else RolloutStatus()


async def _rollout_outcome(
    ctx: Context, obj: CustomObject, spec: ServiceSpec, revision: Revision, rollout: RolloutStatus, image: str
) -> Outcome:
    """Return the outcome of a rollout that is not complete."""
    age = (ctx.now() - parse_timestamp(revision.created)).total_seconds()
    diagnosis = None
    if age >= _DIAGNOSIS_AFTER_SECONDS:
        diagnosis = await _diagnose(ctx, obj, spec, revision, image)
    if diagnosis and _failed_before(obj, revision, diagnosis):
        # A restarted container passes through states that are not terminal, before it crashes again.
        diagnosis = diagnosis._replace(terminal=True)
    assessment = assess_rollout(rollout, spec, diagnosis)
    reason, message = assessment.reason, assessment.message
    recheck = min(max(age, _DIAGNOSIS_AFTER_SECONDS), _MAX_RECHECK_SECONDS)
    if assessment.failed:
        error = await _error(ctx, obj, assessment, diagnosis)
        return failed(reason, message, revision, error=error, requeue_after=recheck)
    return Outcome(State.RUNNING, reason, f"{revision.id}: {message}", revision, requeue_after=recheck)


def _was_rolled_out(obj: CustomObject, revision: Revision) -> bool:
    """Return True if a version was rolled out before: scaling or a later crash is no new rollout."""
    if revision.state is State.SUCCEEDED:
        return True
    return obj.state is State.SUCCEEDED and obj.status.get("version") == revision.version


def _failed_before(obj: CustomObject, revision: Revision, diagnosis: Diagnosis) -> bool:
    """Return True if the status reports the failure of this version with the same diagnosis."""
    if obj.state is not State.FAILED or obj.status.get("version") != revision.version:
        return False
    return bool(obj.status.get("error", {}).get("code") == diagnosis.code)


def _serving_outcome(
    ctx: Context, spec: ServiceSpec, revision: Revision, image: Revision, rollout: RolloutStatus
) -> Outcome:
    """Return the outcome of a version that was rolled out."""
    message = f"serving Image {image.id}"
    newer = _newer_image(ctx, spec, image)
    if newer and newer.state is None:
        message += f"; waiting for Image {newer.id}, which is not built yet"
        return Outcome(State.RUNNING, _IMAGE_NOT_READY, message, revision)
    if newer:
        message += f"; the build of Image {newer.id} failed"
    if rollout.available > 0 or rollout.desired == 0:
        return Outcome(State.SUCCEEDED, "Serving", message, revision)
    message = f"no replica of {revision.id} is available"
    return Outcome(State.SUCCEEDED, "Unavailable", message, revision, ready=False)


def _fields(
    ctx: Context, obj: CustomObject, spec: ServiceSpec, revision: Revision, rollout: RolloutStatus
) -> dict[str, Any]:
    """Return the status fields of Services: scoring URI, replicas, and the ids that the version serves."""
    image_id = revision.data["imageId"]
    image = _find_revision(ctx, IMAGE.name, revision.key.namespace, image_id)
    if image and not has_same_content(revision, [image_id], image):
        image = None  # the Image was deleted and created again; the Service runs the image of the deleted one
    manifest_id = image.data["manifestId"] if image else None
    manifest = (
        _find_revision(ctx, MANIFEST.name, revision.key.namespace, manifest_id) if manifest_id else None
    )
    return {
        "scoringUri": serving.scoring_uri(obj.key.name, obj.key.namespace, ctx.settings.scoring),
        "replicas": rollout.desired if rollout.observed else spec.min_replicas,
        "readyReplicas": rollout.ready,
        "imageLocation": image.location if image else None,
        "imageId": image_id,
        "manifestId": manifest_id,
        "modelIds": manifest.data["modelIds"] if manifest else [],
    }


def _find_revision(ctx: Context, kind: str, namespace: str, id_: str) -> Revision | None:
    reference = parse_version_reference(id_)
    return ctx.cache.revisions.get(Key(kind, namespace, reference.name), reference.version or 1)


def _conditions(spec: ServiceSpec, rollout: RolloutStatus) -> dict[str, Condition]:
    conditions: dict[str, Condition] = {"Available": (False, "NoReplica", "no replica serves")}
    if rollout.available > 0:
        conditions["Available"] = (True, "ReplicaAvailable", "at least one replica serves")
    if rollout.refused:
        # An autoscaled Service may be Ready with fewer replicas than its autoscaler asks for.
        conditions["ReplicaFailure"] = (True, REFUSED, rollout.refused)
    if spec.autoscales and spec.scaling.effective_min == 0:
        conditions["ScalesToZero"] = (
            False,
            "OnlyCpu",
            "minReplicas 0 acts as 1: the only metric is CPU, which cannot show the first request",
        )
    return conditions


async def _diagnose(
    ctx: Context, obj: CustomObject, spec: ServiceSpec, revision: Revision, image: str
) -> Diagnosis | None:
    """Diagnose the pods of the Deployment's present template."""
    selector = ",".join(f"{key}={value}" for key, value in labels.selector_of(obj.key.name).items())
    pods = await ctx.client.list_all(PODS, obj.key.namespace, labelSelector=selector)
    deployment = serving.deployment(revisions.as_owner(obj), spec, image, ctx.settings.scoring)
    template_hash = serving.template_hash(deployment)
    present = [pod for pod in pods if _has_template(pod, template_hash)]
    return diagnose_pods(present, parse_timestamp(revision.created))


def _has_template(pod: Json, template_hash: str) -> bool:
    annotations: Json = pod["metadata"].get("annotations", {})
    return annotations.get(labels.TEMPLATE_HASH) == template_hash


async def _error(
    ctx: Context, obj: CustomObject, assessment: RolloutAssessment, diagnosis: Diagnosis | None
) -> ErrorResponse:
    """Return the error of a failed rollout; after a crash its details have the end of the pod's log."""
    details: Iterable[ErrorDetail] = ()
    if diagnosis and diagnosis.crashed:
        reported = obj.status.get("error", {})
        if reported.get("message") == assessment.message and reported.get("details"):
            return ErrorResponse.model_validate(reported)
        log = await _last_log(ctx, obj.key.namespace, diagnosis)
        details = [ErrorDetail(code="Log", message=log)] if log else ()
    return ErrorResponse(
        code=assessment.reason, message=assessment.message, status_code=500, details=tuple(details)
    )


async def _last_log(ctx: Context, namespace: str, diagnosis: Diagnosis) -> str:
    """Return the last lines of the crashed container's log, of the present one if there is no other."""
    for previous in ("true", "false"):
        try:
            return await ctx.client.log(
                namespace,
                diagnosis.pod,
                container=diagnosis.container,
                tailLines=str(_LOG_LINES),
                previous=previous,
            )
        except KubeError:
            continue
    return ""
