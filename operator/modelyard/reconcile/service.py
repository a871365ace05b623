"""Service: the newest built image, rolled without losing a request, scaled and guarded by keys."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

from modelyard.api.kinds import IMAGE, MANIFEST
from modelyard.api.names import parse_reference
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
)
from modelyard.reconcile import versions
from modelyard.reconcile.causes import Cause, find_cause
from modelyard.reconcile.children import NameTaken, absent, ensure
from modelyard.reconcile.context import Context, parse_timestamp
from modelyard.reconcile.outcome import Outcome, failed, waiting
from modelyard.reconcile.queue import Key
from modelyard.reconcile.rollout import Progress, progress
from modelyard.reconcile.store import Item, Record, Rollout
from modelyard.resources import labels, scoring
from modelyard.resources.revision import Owner

CHILDREN: Final = (DEPLOYMENTS, CORE_SERVICES, AUTOSCALERS, DISRUPTION_BUDGETS, SECRETS)
_PATIENCE: Final = 4.0  # seconds that a rollout has before its pods are looked at
_LONGEST_PAUSE: Final = 60.0  # seconds between looks at pods that do not come up
_LOG_LINES: Final = 20


async def reconcile(ctx: Context, item: Item) -> Outcome:
    """Find the image, record the version, write the children, see the rollout through."""
    spec = ServiceSpec.model_validate(item.spec)
    image = _image(ctx, item, spec)
    if isinstance(image, Outcome):
        return image
    content = versions.content_of(spec, item, imageId=image.id)
    record = await versions.ensure(ctx, item, content)
    try:
        wanted = await _children(ctx, item, spec, str(image.location))
    except NameTaken as error:
        return failed("NameTaken", str(error), record, requeue_after=30)
    newer = _newer_image(ctx, item, spec, image)
    outcome = await _rollout(ctx, item, spec, record, image, wanted, newer)
    if newer and newer.state is None and item.state is State.SUCCEEDED and record.state is None:
        # This version is done, though the status is about to speak of the one that comes.
        await versions.seal(ctx, item, record)
    return outcome


def _image(ctx: Context, item: Item, spec: ServiceSpec) -> Record | Outcome:
    """The record of the image to serve, or the reason to wait."""
    newest = ctx.store.newest(item.key)
    fields = _versions(ctx, newest) if newest else {}
    found = versions.resolve(ctx, IMAGE, item.key.namespace, spec.image_id)
    if isinstance(found, str):
        return waiting("ImageNotFound", found, newest, fields=fields)
    reference = parse_reference(spec.image_id)
    built = found if reference.version else ctx.store.newest_built(found.key)
    if built and built.location:
        return built
    if found.state is State.FAILED:
        return waiting(
            "ImageFailed", f"waiting for Image {found.id}, whose build failed", newest, fields=fields
        )
    return waiting(
        "ImageNotReady", f"waiting for Image {found.id}, which is not built yet", newest, fields=fields
    )


def _newer_image(ctx: Context, item: Item, spec: ServiceSpec, served: Record) -> Record | None:
    """The version of the image that will follow the one served, if there is one."""
    if parse_reference(spec.image_id).version:
        return None
    newest = ctx.store.newest(served.key)
    return newest if newest and newest.version > served.version else None


async def _children(ctx: Context, item: Item, spec: ServiceSpec, image: str) -> Json:
    """Write what differs; the wanted Deployment."""
    owner = versions.owner(item)
    await _keys(ctx, item, owner)
    wanted = scoring.deployment(owner, spec, image, ctx.settings.scoring)
    if not spec.autoscales:
        # The autoscaler goes before its replicas are set, or it would set them back.
        await absent(ctx, item, AUTOSCALERS, owner.name)
    at_first = {"spec": {"replicas": spec.fewest_replicas}} if spec.autoscales else None
    await ensure(ctx, item, DEPLOYMENTS, wanted, at_first)
    await ensure(ctx, item, CORE_SERVICES, scoring.core_service(owner))
    if spec.autoscales:
        await ensure(ctx, item, AUTOSCALERS, scoring.autoscaler(owner, spec))
    if spec.fewest_replicas > 1:
        await ensure(ctx, item, DISRUPTION_BUDGETS, scoring.disruption_budget(owner))
    else:
        await absent(ctx, item, DISRUPTION_BUDGETS, owner.name)
    return wanted


async def _keys(ctx: Context, item: Item, owner: Owner) -> None:
    """The Secret with both keys; a key that somebody removed is made anew, the other one stays."""
    wanted = scoring.keys(owner)
    live = await ensure(ctx, item, SECRETS, wanted, {"data": scoring.missing_keys({})})
    if live and (missing := scoring.missing_keys(live.get("data") or {})):
        name = wanted["metadata"]["name"]
        written = await ctx.client.merge(SECRETS, item.key.namespace, name, {"data": missing})
        ctx.store.wrote_child(SECRETS, written)


async def _rollout(
    ctx: Context,
    item: Item,
    spec: ServiceSpec,
    record: Record,
    image: Record,
    wanted: Json,
    newer: Record | None,
) -> Outcome:
    child = ctx.store.child(DEPLOYMENTS, item.key.namespace, item.key.name)
    rollout = child.rollout if child else Rollout()
    rolled = _is_rolled(item, record)
    now = progress(rollout, spec, None)
    if rolled or now.complete:
        return _serving(ctx, item, spec, record, image, rollout, newer)
    age = (ctx.now() - parse_timestamp(record.created)).total_seconds()
    cause = await _cause(ctx, item, wanted) if age >= _PATIENCE else None
    now = progress(rollout, spec, cause)
    common: dict[str, Any] = {
        "fields": _fields(ctx, item, record, image, spec, rollout),
        "conditions": _conditions(spec, rollout),
        "requeue_after": min(max(age, _PATIENCE), _LONGEST_PAUSE),
    }
    if now.failed:
        error = await _error(ctx, item, now, cause)
        return failed(now.reason, now.message, record, error=error, **common)
    return Outcome(State.RUNNING, now.reason, f"{record.id}: {now.message}", record, **common)


def _is_rolled(item: Item, record: Record) -> bool:
    """Whether this version was rolled out before: scaling, or a crash later on, is no new operation."""
    if record.state is State.SUCCEEDED:
        return True
    return item.state is State.SUCCEEDED and item.status.get("version") == record.version


def _serving(
    ctx: Context,
    item: Item,
    spec: ServiceSpec,
    record: Record,
    image: Record,
    rollout: Rollout,
    newer: Record | None,
) -> Outcome:
    fields = _fields(ctx, item, record, image, spec, rollout)
    conditions = _conditions(spec, rollout)
    if newer and newer.state is None:
        message = f"serving Image {image.id}; waiting for Image {newer.id}, which is not built yet"
        return Outcome(State.RUNNING, "ImageNotReady", message, record, fields=fields, conditions=conditions)
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
        fields=fields,
        conditions=conditions,
    )


def _fields(
    ctx: Context, item: Item, record: Record, image: Record, spec: ServiceSpec, rollout: Rollout
) -> dict[str, Any]:
    desired = rollout.desired if rollout.observed else spec.fewest_replicas
    return {
        "scoringUri": scoring.scoring_uri(item.key.name, item.key.namespace, ctx.settings.scoring),
        "replicas": desired,
        "readyReplicas": rollout.ready,
        "imageLocation": image.location,
        **_versions(ctx, record),
    }


def _versions(ctx: Context, record: Record) -> dict[str, Any]:
    """Ids of the image, manifest and models of a version."""
    image_id = record.data["imageId"]
    image = _record(ctx, IMAGE.name, record.key.namespace, image_id)
    manifest_id = image.data["manifestId"] if image else None
    manifest = _record(ctx, MANIFEST.name, record.key.namespace, manifest_id) if manifest_id else None
    return {
        "imageId": image_id,
        "manifestId": manifest_id,
        "modelIds": manifest.data["modelIds"] if manifest else [],
    }


def _record(ctx: Context, kind: str, namespace: str, id_: str) -> Record | None:
    reference = parse_reference(id_)
    return ctx.store.record(Key(kind, namespace, reference.name), reference.version or 1)


def _conditions(spec: ServiceSpec, rollout: Rollout) -> dict[str, tuple[bool, str, str]]:
    available = rollout.available > 0
    conditions = {
        "Available": (
            available,
            "ReplicaAvailable" if available else "NoReplica",
            "some replica serves" if available else "no replica serves",
        )
    }
    if spec.autoscales and spec.scaler.least == 0:
        conditions["ScalesToZero"] = (
            False,
            "OnlyCpu",
            "minReplicas 0 acts as 1: CPU is the only metric, and it cannot tell when a first request comes",
        )
    return conditions


async def _cause(ctx: Context, item: Item, wanted: Json) -> Cause | None:
    """What keeps the pods of the present template from coming up."""
    selector = ",".join(f"{key}={value}" for key, value in labels.selector_of(item.key.name).items())
    pods = await ctx.client.list_all(PODS, item.key.namespace, labelSelector=selector)
    mark = scoring.template_mark(wanted)
    return find_cause([pod for pod in pods if _carries(pod, mark)])


def _carries(pod: Json, mark: str) -> bool:
    annotations: Json = pod["metadata"].get("annotations", {})
    return annotations.get(labels.TEMPLATE) == mark


async def _error(ctx: Context, item: Item, now: Progress, cause: Cause | None) -> ErrorResponse:
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
                namespace, pod, container=scoring.CONTAINER, tailLines=str(_LOG_LINES), previous=previous
            )
        except KubeError:
            continue
    return ""


def names(service: str) -> tuple[str, ...]:
    """Names that children of a Service have."""
    return service, labels.keys_name(service)
