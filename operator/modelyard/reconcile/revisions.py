"""Versions: each change of an object's content is recorded once, as an immutable ControllerRevision.

While a version is the newest, the object's status has the state of its operation. Later the annotations of
the ControllerRevision have the final state. For a Model, Manifest or Image it is written when the operation
ends. For a Service it is written when the next version supersedes it, so a new Service costs one write less.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import orjson

from modelyard.api import labels
from modelyard.api.base import ApiType
from modelyard.api.names import REGISTRATION
from modelyard.api.owners import Owner
from modelyard.api.record_input import NOT_CONTENT, content_from
from modelyard.api.resources import CUSTOM_RESOURCES
from modelyard.api.revision import Revision, content_hash
from modelyard.api.status import ErrorResponse, State, operation_end
from modelyard.kube.errors import AlreadyExists, Conflict
from modelyard.kube.types import REVISIONS, Json
from modelyard.reconcile.contents import has_content
from modelyard.reconcile.context import Context
from modelyard.reconcile.objects import CustomObject
from modelyard.reconcile.references import hash_of_referenced, is_same_content
from modelyard.reconcile.revision_adoption import existing_revision
from modelyard.reconcile.revision_patch import patch_revision
from modelyard.reconcile.timestamps import format_timestamp
from modelyard.resources.revision import controller_revision


def content_of(spec: ApiType, obj: CustomObject, **resolved: Any) -> Json:
    """Return the content of a version: the spec's fields, with references replaced by resolved ids."""
    content = content_from(spec) | resolved
    if obj.registration is not None:
        content[REGISTRATION] = obj.registration
    return content


async def ensure_revision(
    ctx: Context,
    obj: CustomObject,
    content: Json,
    *,
    references: Iterable[Revision] = (),
    complete: bool = False,
) -> Revision:
    """Return the newest version if it has this content, otherwise create the next version.

    `references` are the versions that the ids in the content stand for. A version whose ids stood for other
    content counts as a version of other content.
    With `complete`, the operation succeeds as soon as the version is recorded.

    Raises NameTaken if an object of another owner has the name of the ControllerRevision. Raises Conflict if
    a deleted object of the same name still owns it, or another process recorded the version with other
    content. Raises Conflict, too, if the object has changed since it was cached.
    """
    newest = ctx.cache.revisions.newest(obj.key)
    annotations = _about(obj)
    if referenced := hash_of_referenced(references):
        annotations[labels.REFERENCED] = referenced
    present_hash = content_hash(content)
    if (
        newest
        and is_same_content(newest.referenced, referenced)
        and await has_content(ctx, obj, newest, content)
    ):
        await _update_annotations(ctx, newest, annotations)
        return newest
    if newest and newest.resource_version > obj.resource_version:
        await _require_current(ctx, obj)
    if newest and newest.state is None:
        await close_operation(ctx, obj, newest)
    version = newest.version + 1 if newest else 1
    if complete:
        annotations |= {labels.STATE: State.SUCCEEDED, labels.ENDED: format_timestamp(ctx.now())}
    body = controller_revision(as_owner(obj), version, content, annotations)
    try:
        with ctx.cache.pending_writes.creating(REVISIONS, obj.key.namespace, body["metadata"]["name"]):
            written = await ctx.client.create(REVISIONS, obj.key.namespace, body)
    except AlreadyExists:
        body = written = await existing_revision(ctx, obj, version)
    # The response has only metadata; the rest of the object is as it was sent.
    ctx.cache.revisions.put(body | {"metadata": body["metadata"] | written["metadata"]})
    for dependent in ctx.cache.objects.dependents(obj.key):
        ctx.queue.add(dependent)
    revision = ctx.cache.revisions.get(obj, version)
    if (
        revision is None
        or revision.content_hash != present_hash
        or not is_same_content(revision.referenced, referenced)
    ):
        raise Conflict(f"version {version} of {obj.key} was recorded with other content")
    ctx.cache.contents.put(present_hash, content)  # a build reads it next
    return revision


async def _update_annotations(ctx: Context, newest: Revision, annotations: dict[str, str]) -> None:
    """Write the description, the tags and the hashes of references to the newest version, if they differ.

    Hashes differ without another content if a release up to 0.2.0 recorded the version, or a version that it
    refers to. The dependents then record the hashes, too.
    """
    fields = (labels.ABOUT, labels.REFERENCED)
    changed = {
        field: annotations.get(field)
        for field in fields
        if newest.annotations.get(field) != annotations.get(field)
    }
    if not changed:
        return
    await annotate(ctx, newest, changed)
    if labels.REFERENCED in changed:
        for dependent in ctx.cache.objects.dependents(newest.key):
            ctx.queue.add(dependent)


async def _require_current(ctx: Context, obj: CustomObject) -> None:
    """Raise Conflict if the API server has a newer object than the cache; the cache gets the newer one.

    Each resource has its own watch, so a version may arrive before the object that it was made of. Another
    operator made it, for example one that is just being replaced. The cached object would then become a
    version again.
    """
    live = await ctx.client.get(CUSTOM_RESOURCES[obj.key.kind], obj.key.namespace, obj.key.name)
    if int(live["metadata"]["resourceVersion"]) > obj.resource_version:
        ctx.cache.objects.put(obj.key.kind, live)
        raise Conflict(f"{obj.key} has changed since it was cached")


def _about(obj: CustomObject) -> dict[str, str]:
    """Return the annotation with the description and tags that the newest version records."""
    about = {field: obj.spec[field] for field in sorted(NOT_CONTENT) if obj.spec.get(field)}
    return {labels.ABOUT: orjson.dumps(about).decode()} if about else {}


def as_owner(obj: CustomObject) -> Owner:
    """Return a custom resource as the owner of its children."""
    return Owner(obj.key.kind, obj.key.name, obj.uid)


async def close_operation(ctx: Context, obj: CustomObject, revision: Revision) -> None:
    """Record the final state of a version that the next one supersedes.

    The state is the one in the object's status, or Cancelled if the operation has not ended.
    """
    status = obj.status if obj.status.get("version") == revision.version else {}
    state = State(status["state"]) if "state" in status else State.NOT_STARTED
    if state.ended:
        error = ErrorResponse.model_validate(status["error"]) if "error" in status else None
        await end_operation(ctx, revision, state, error=error, ended=operation_end(status))
        return
    await end_operation(ctx, revision, State.CANCELLED)
    await ctx.recorder.record(obj, "Cancelled", f"{revision.id} is superseded by a newer version")


async def end_operation(
    ctx: Context,
    revision: Revision,
    state: State,
    *,
    error: ErrorResponse | None = None,
    annotations: Mapping[str, str | None] | None = None,
    ended: str | None = None,
) -> None:
    """Record the final state of an operation, with further annotations; the value None removes one.

    `ended` is the time of the end (RFC 3339), by default the present time.
    """
    changed = {
        labels.STATE: str(state),
        labels.ENDED: ended or format_timestamp(ctx.now()),
        labels.ERROR: orjson.dumps(error.to_json()).decode() if error else None,
        **(annotations or {}),
    }
    await annotate(ctx, revision, changed)


async def annotate(ctx: Context, revision: Revision, changed: Mapping[str, str | None]) -> None:
    """Change annotations of a ControllerRevision; the value None removes one."""
    patch = {"metadata": {"annotations": dict(changed)}}
    written = await patch_revision(ctx, revision.key.namespace, revision.name, patch)
    annotations = {**revision.annotations, **changed}
    revision.annotations = {key: value for key, value in annotations.items() if value is not None}
    revision.resource_version = int(written["metadata"]["resourceVersion"])
