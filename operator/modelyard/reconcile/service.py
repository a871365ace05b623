"""Service: the newest built image, rolled without losing a request, scaled and guarded by keys."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from typing import Any, Final

from modelyard.api import labels
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
from modelyard.reconcile.context import Context, parse_timestamp
from modelyard.reconcile.objects import CustomObject, RolloutStatus
from modelyard.reconcile.outcome import Outcome, failed, waiting
from modelyard.reconcile.pod_diagnosis import (
    Diagnosis,
    diagnose_pods,
)
from modelyard.reconcile.rollout import Progress, progress
from modelyard.resources import serving

_PATIENCE: Final = 4.0  # seconds that a rollout has before its pods are looked at
_LONGEST_PAUSE: Final = 60.0  # seconds between looks at pods that do not come up
_LOG_LINES: Final = 20
_NEWER: Final = "ImageNotReady"
_UNBUILT: Final[dict[State | None, tuple[str, str]]] = {
    State.FAILED: ("ImageFailed", "whose build failed"),
    State.CANCELLED: ("ImageCancelled", "whose build a newer version cancelled: refer to a newer one"),
}


async def reconcile(ctx: Context, item: CustomObject) -> Outcome:
    """Find the image, record the version, write the children, see the rollout through."""
    spec = ServiceSpec.model_validate(item.spec)
    outcome = await _phases(ctx, item, spec)
    record = outcome.record
    if record is None:
        return outcome
    await _note_success(ctx, item, record, outcome)
    # Whatever the outcome is, pods that run go on, and the status says so.
    rollout = _rollout_status(ctx, item)
    return dataclasses.replace(
        outcome, fields=_fields(ctx, item, spec, record, rollout), conditions=_conditions(spec, rollout)
    )


async def _phases(ctx: Context, item: CustomObject, spec: ServiceSpec) -> Outcome:
    image = _image(ctx, item, spec)
    if isinstance(image, Outcome):
        return image
    content = revisions.content_of(spec, item, imageId=image.id)
    record = await revisions.ensure_revision(ctx, item, content)
    location = str(image.location)
    try:
        await _children(ctx, item, spec, location)
    except NameTaken as error:
        return failed("NameTaken", str(error), record, requeue_after=30)
    rollout = _rollout_status(ctx, item)
    if _is_rolled(item, record) or progress(rollout, spec, None).complete:
        return _serving(ctx, spec, record, image, rollout)
    return await _rollout(ctx, item, spec, record, rollout, location)


async def _note_success(ctx: Context, item: CustomObject, record: Revision, outcome: Outcome) -> None:
    """Record that a version was rolled out, when its status does not say so, or no longer will."""
    serves = outcome.state is State.SUCCEEDED or (outcome.state, outcome.reason) == (State.RUNNING, _NEWER)
    rolled = serves or _is_rolled(item, record)
    told = outcome.state is State.SUCCEEDED and record.state is None
    if rolled and not told and record.state is not State.SUCCEEDED:
        await revisions.end(ctx, record, State.SUCCEEDED)


def _image(ctx: Context, item: CustomObject, spec: ServiceSpec) -> Revision | Outcome:
    """The record of the image to serve, or the reason to wait."""
    newest = ctx.cache.revisions.newest(item.key)
    found = revisions.resolve(ctx, IMAGE, item.key.namespace, spec.image_id)
    if isinstance(found, str):
        return waiting("ImageNotFound", found, newest)
    reference = parse_version_reference(spec.image_id)
    built = found if reference.version else ctx.cache.revisions.newest_built(found.key)
    if built and built.location:
        return built
    if labels.IMAGE_RELEASED in found.annotations:
        ctx.queue.add(found.key)  # which builds it again
    reason, why = _UNBUILT.get(found.state, (_NEWER, "which is not built yet"))
    return waiting(reason, f"waiting for Image {found.id}, {why}", newest)


def _newer_image(ctx: Context, spec: ServiceSpec, served: Revision) -> Revision | None:
    """The version of the image that will follow the one served, if there is one."""
    if parse_version_reference(spec.image_id).version:
        return None
    newest = ctx.cache.revisions.newest(served.key)
    return newest if newest and newest.version > served.version else None


async def _children(ctx: Context, item: CustomObject, spec: ServiceSpec, image: str) -> None:
    """Write what differs."""
    owner = revisions.owner(item)
    name = owner.name
    await _keys(ctx, item, owner)
    if not spec.autoscales:
        # The autoscaler goes before its replicas are set, or it would set them back.
        await ensure_absent(ctx, item, AUTOSCALERS, name)
    await create_or_patch(
        ctx,
        item,
        DEPLOYMENTS,
        name,
        lambda: serving.deployment(owner, spec, image, ctx.settings.scoring),
        inputs=image,
        on_create=lambda: {"spec": {"replicas": spec.min_replicas}},
    )
    if spec.num_replicas is None:
        await _scale_from_zero(ctx, item, spec)
    await create_or_patch(ctx, item, CORE_SERVICES, name, lambda: serving.core_service(owner))
    if spec.autoscales:
        await create_or_patch(ctx, item, AUTOSCALERS, name, lambda: serving.autoscaler(owner, spec))
    if spec.min_replicas > 1:
        await create_or_patch(ctx, item, DISRUPTION_BUDGETS, name, lambda: serving.disruption_budget(owner))
    else:
        await ensure_absent(ctx, item, DISRUPTION_BUDGETS, name)


async def _scale_from_zero(ctx: Context, item: CustomObject, spec: ServiceSpec) -> None:
    """Replicas for a Deployment that was scaled to none: an autoscaler takes that as being switched off."""
    seen = _rollout_status(ctx, item)
    if seen.observed and seen.observed == seen.generation and seen.desired == 0:
        patch = {"spec": {"replicas": spec.min_replicas}}
        written = await ctx.client.patch(DEPLOYMENTS, item.key.namespace, item.key.name, patch)
        ctx.cache.children.store_written(DEPLOYMENTS, written)


async def _keys(ctx: Context, item: CustomObject, owner: Owner) -> None:
    """The Secret with both keys; a key that somebody removed is made anew, the other one stays."""
    name = labels.keys_name(owner.name)
    live = await create_or_patch(
        ctx,
        item,
        SECRETS,
        name,
        lambda: serving.keys(owner),
        on_create=lambda: {"data": serving.missing_keys({})},
    )
    if live and (missing := serving.missing_keys(live.get("data") or {})):
        written = await ctx.client.patch(SECRETS, item.key.namespace, name, {"data": missing})
        ctx.cache.children.store_written(SECRETS, written)


def _rollout_status(ctx: Context, item: CustomObject) -> RolloutStatus:
    """Where the Deployment stands."""
    child = ctx.cache.children.get(DEPLOYMENTS, item.key.namespace, item.key.name)
    return child.rollout if child else RolloutStatus()


async def _rollout(
    ctx: Context, item: CustomObject, spec: ServiceSpec, record: Revision, rollout: RolloutStatus, image: str
) -> Outcome:
    age = (ctx.now() - parse_timestamp(record.created)).total_seconds()
    cause = await _cause(ctx, item, spec, image) if age >= _PATIENCE else None
    if cause and _failed_before(item, record, cause):
        # A pod that is tried again passes through states in which the same cause looks like a beginning.
        cause = cause._replace(terminal=True)
    now = progress(rollout, spec, cause)
    pause = min(max(age, _PATIENCE), _LONGEST_PAUSE)
    if now.failed:
        error = await _error(ctx, item, now, cause)
        return failed(now.reason, now.message, record, error=error, requeue_after=pause)
    return Outcome(State.RUNNING, now.reason, f"{record.id}: {now.message}", record, requeue_after=pause)


def _is_rolled(item: CustomObject, record: Revision) -> bool:
    """Whether this version was rolled out before: scaling, or a crash later on, is no new operation."""
    if record.state is State.SUCCEEDED:
        return True
    return item.state is State.SUCCEEDED and item.status.get("version") == record.version


def _failed_before(item: CustomObject, record: Revision, cause: Diagnosis) -> bool:
    said = (item.state, item.status.get("version"), item.status.get("error", {}).get("code"))
    return said == (State.FAILED, record.version, cause.code)


def _serving(
    ctx: Context, spec: ServiceSpec, record: Revision, image: Revision, rollout: RolloutStatus
) -> Outcome:
    newer = _newer_image(ctx, spec, image)
    if newer and newer.state is None:
        message = f"serving Image {image.id}; waiting for Image {newer.id}, which is not built yet"
        return Outcome(State.RUNNING, _NEWER, message, record)
    message = f"serving Image {image.id}"
    if newer:
        message += f"; the build of Image {newer.id} failed"
    ready = rollout.available > 0 or rollout.desired == 0
    return Outcome(
        State.SUCCEEDED,
        "Serving" if ready else "Unavailable",
        message if ready else f"no replica of {record.id} is available",
        record,
        ready=ready,
    )


def _fields(
    ctx: Context, item: CustomObject, spec: ServiceSpec, record: Revision, rollout: RolloutStatus
) -> dict[str, Any]:
    """Where it answers, its replicas, and the image, manifest and models of a version."""
    image_id = record.data["imageId"]
    image = _record(ctx, IMAGE.name, record.key.namespace, image_id)
    manifest_id = image.data["manifestId"] if image else None
    manifest = _record(ctx, MANIFEST.name, record.key.namespace, manifest_id) if manifest_id else None
    return {
        "scoringUri": serving.scoring_uri(item.key.name, item.key.namespace, ctx.settings.scoring),
        "replicas": rollout.desired if rollout.observed else spec.min_replicas,
        "readyReplicas": rollout.ready,
        "imageLocation": image.location if image else None,
        "imageId": image_id,
        "manifestId": manifest_id,
        "modelIds": manifest.data["modelIds"] if manifest else [],
    }


def _record(ctx: Context, kind: str, namespace: str, id_: str) -> Revision | None:
    reference = parse_version_reference(id_)
    return ctx.cache.revisions.get(Key(kind, namespace, reference.name), reference.version or 1)


def _conditions(spec: ServiceSpec, rollout: RolloutStatus) -> dict[str, tuple[bool, str, str]]:
    available = rollout.available > 0
    conditions = {
        "Available": (
            available,
            "ReplicaAvailable" if available else "NoReplica",
            "some replica serves" if available else "no replica serves",
        )
    }
    if spec.autoscales and spec.scaling.effective_min == 0:
        conditions["ScalesToZero"] = (
            False,
            "OnlyCpu",
            "minReplicas 0 acts as 1: CPU is the only metric, and it cannot tell when a first request comes",
        )
    return conditions


async def _cause(ctx: Context, item: CustomObject, spec: ServiceSpec, image: str) -> Diagnosis | None:
    """What keeps the pods of the present template from coming up."""
    selector = ",".join(f"{key}={value}" for key, value in labels.selector_of(item.key.name).items())
    pods = await ctx.client.list_all(PODS, item.key.namespace, labelSelector=selector)
    mark = serving.template_hash(serving.deployment(revisions.owner(item), spec, image, ctx.settings.scoring))
    return diagnose_pods([pod for pod in pods if _carries(pod, mark)])


def _carries(pod: Json, mark: str) -> bool:
    annotations: Json = pod["metadata"].get("annotations", {})
    return annotations.get(labels.TEMPLATE_HASH) == mark


async def _error(ctx: Context, item: CustomObject, now: Progress, cause: Diagnosis | None) -> ErrorResponse:
    details: Iterable[ErrorDetail] = ()
    if cause and cause.crashed:
        known = item.status.get("error", {})
        if known.get("message") == now.message and known.get("details"):
            return ErrorResponse.model_validate(known)
        log = await _last_log(ctx, item.key.namespace, cause.pod)
        details = [ErrorDetail(code="Log", message=log)] if log else ()
    return ErrorResponse(code=now.reason, message=now.message, status_code=500, details=tuple(details))


async def _last_log(ctx: Context, namespace: str, pod: str) -> str:
    for previous in ("true", "false"):
        try:
            return await ctx.client.log(
                namespace, pod, container=serving.CONTAINER, tailLines=str(_LOG_LINES), previous=previous
            )
        except KubeError:
            continue
    return ""
