"""Versions: each change of content is recorded once, as an immutable ControllerRevision.

While a version is the newest, its object's status says how its operation goes. The record takes the end over
when the operation of a Model, Manifest or Image ends, and for a Service when something follows it: so a new
Service costs one write less.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import orjson

from modelyard.api import labels
from modelyard.api.base import ApiType
from modelyard.api.kinds import Kind
from modelyard.api.names import REGISTRATION, parse_version_reference
from modelyard.api.owners import Owner
from modelyard.api.revision import Revision
from modelyard.api.status import ErrorResponse, State
from modelyard.kube.errors import AlreadyExists, Conflict
from modelyard.kube.types import REVISIONS, Json, Key
from modelyard.reconcile.children import check_owner
from modelyard.reconcile.context import Context, timestamp
from modelyard.reconcile.objects import CustomObject
from modelyard.resources.revision import revision

_NOT_CONTENT: Final = {"description", "tags"}


def content_of(spec: ApiType, item: CustomObject, **resolved: Any) -> Json:
    """What a version is made of: the spec's fields that matter, and what they resolve to."""
    content: Json = spec.model_dump(
        mode="json", by_alias=True, exclude_defaults=True, exclude_none=True, exclude=_NOT_CONTENT
    )
    registration = {REGISTRATION: item.registration} if item.registration is not None else {}
    return content | resolved | registration


async def ensure_revision(
    ctx: Context, item: CustomObject, content: Json, *, complete: bool = False
) -> Revision:
    """The record of this content: the newest one when it says the same, otherwise the next version.

    `complete`: the operation ends with the record (a Model has nothing to wait for).
    Conflict when the name of the record is still held by a deleted object of the same name, NameTaken when
    somebody else holds it.
    """
    newest = ctx.cache.revisions.newest(item.key)
    if newest and newest.data == content:
        if newest.annotations.get(labels.ABOUT) != _about(item).get(labels.ABOUT):
            await annotate(ctx, newest, {labels.ABOUT: None, **_about(item)})
        return newest
    if newest and newest.state is None:
        await close_operation(ctx, item, newest)
    version = newest.version + 1 if newest else 1
    ended = {labels.STATE: State.SUCCEEDED, labels.ENDED: timestamp(ctx.now())} if complete else {}
    body = revision(owner(item), version, content, ended | _about(item))
    try:
        with ctx.cache.pending_writes.creating(REVISIONS, item.key.namespace, body["metadata"]["name"]):
            written = await ctx.client.create(REVISIONS, item.key.namespace, body)
    except AlreadyExists:
        written = await _look_again(ctx, item, version)
        body = written
    ctx.cache.revisions.put(body | {"metadata": body["metadata"] | written["metadata"]})
    for dependent in ctx.cache.objects.dependents(item.key):
        ctx.queue.add(dependent)
    record = ctx.cache.revisions.get(item.key, version)
    if record is None or record.data != content:
        raise Conflict(f"version {version} of {item.key} was recorded by somebody else")
    return record


def _about(item: CustomObject) -> dict[str, str]:
    """Description and tags: no content, yet each version keeps those that it had as the newest."""
    said = {field: item.spec[field] for field in sorted(_NOT_CONTENT) if item.spec.get(field)}
    return {labels.ABOUT: orjson.dumps(said).decode()} if said else {}


async def _look_again(ctx: Context, item: CustomObject, version: int) -> Json:
    """The record that is there already: ours, written before a crash, or one that is about to go."""
    name = labels.revision_name(item.key.kind, item.key.name, version)
    written = await ctx.client.get(REVISIONS, item.key.namespace, name)
    check_owner(item, REVISIONS, written)
    return written


def owner(item: CustomObject) -> Owner:
    """An object of ours as the owner of others."""
    return Owner(item.key.kind, item.key.name, item.uid)


async def close_operation(ctx: Context, item: CustomObject, record: Revision) -> None:
    """Write the end of a version that something follows: as its status says it, or else Cancelled."""
    status = item.status if item.status.get("version") == record.version else {}
    state = State(status["state"]) if "state" in status else State.NOT_STARTED
    if state.ended:
        error = ErrorResponse.model_validate(status["error"]) if "error" in status else None
        await end(ctx, record, state, error=error)
        return
    await end(ctx, record, State.CANCELLED)
    await ctx.recorder.record(item, "Cancelled", f"{record.id} is superseded by a newer version")


async def end(
    ctx: Context,
    record: Revision,
    state: State,
    *,
    error: ErrorResponse | None = None,
    noted: Mapping[str, str | None] | None = None,
) -> None:
    """Write the end of an operation into its record, with further annotations; None removes one."""
    changed = {
        labels.STATE: str(state),
        labels.ENDED: timestamp(ctx.now()),
        labels.ERROR: orjson.dumps(error.to_json()).decode() if error else None,
        **(noted or {}),
    }
    await annotate(ctx, record, changed)


async def annotate(ctx: Context, record: Revision, changed: Mapping[str, str | None]) -> None:
    """Change annotations of a record; None removes one."""
    written = await ctx.client.patch(
        REVISIONS, record.key.namespace, record.name, {"metadata": {"annotations": dict(changed)}}
    )
    record.annotations = {
        key: value for key, value in {**record.annotations, **changed}.items() if value is not None
    }
    record.resource_version = int(written["metadata"]["resourceVersion"])


def resolve(ctx: Context, kind: Kind, namespace: str, text: str) -> Revision | str:
    """The record that a reference means, or a sentence that says what is missing."""
    reference = parse_version_reference(text)
    key = Key(kind.name, namespace, reference.name)
    item = ctx.cache.objects.get(key)
    if item is None:
        return f"waiting for {kind.name} {reference.name}, which does not exist"
    newest = ctx.cache.revisions.newest(key)
    if newest is None:
        return f"waiting for the first version of {kind.name} {reference.name}"
    if reference.version is None:
        return newest
    record = ctx.cache.revisions.get(key, reference.version)
    if record is None or record.owner_uid != item.uid:
        return f"waiting for {kind.name} {text}: the newest version is {newest.version}"
    return record
