"""Children: made by POST, changed by what differs, never taken from somebody else.

A change is a JSON merge patch of the fields that differ. Server-side apply would not do after a POST: the
fields of the POST stay owned by its Update entry, so what a later apply leaves out is never removed, and
leaving `replicas` out, for the autoscaler to own, would reset it to 1 after an apply that had it.
https://kubernetes.io/docs/reference/using-api/server-side-apply/#migration-between-client-side-and-server-side-apply
"""

from __future__ import annotations

from collections.abc import Callable

from modelyard.api import labels
from modelyard.api.owners import owner_of
from modelyard.kube.errors import AlreadyExists, Conflict
from modelyard.kube.merge import changes, fingerprint
from modelyard.kube.types import ApiResource, Json
from modelyard.reconcile.context import Context
from modelyard.reconcile.objects import (
    Child,
    CustomObject,
    DesiredHash,
)


class NameTaken(Exception):
    """The name of a child is held by an object that is not ours."""

    def __init__(self, resource: ApiResource, name: str):
        super().__init__(
            f"{resource.kind} {name} exists and does not belong to this object: delete it, or give"
            " this object another name"
        )


async def create_or_patch(
    ctx: Context,
    item: CustomObject,
    resource: ApiResource,
    name: str,
    build: Callable[[], Json],
    *,
    inputs: str = "",
    on_create: Callable[[], Json] = dict,
) -> Json | None:
    """Make a child say what `build` wants; the live object when it had to be looked at, else None.

    `build` is pure, of the object and of `inputs`, and is called only when one of them is new or the child is
    not as it was left: to build children that are there already was half of a reconcile. `on_create` is
    merged in when the child is created, and left alone from then on.
    NameTaken when the name belongs to somebody else; Conflict while an older one of ours is being deleted.
    """
    namespace = item.key.namespace
    child = ctx.cache.children.get(resource, namespace, name)
    known = item.desired_hashes.get(resource.plural)
    if known and known.inputs == inputs and _is_as_left(child, item, known.hash):
        return None
    wanted = build()
    mark = fingerprint(wanted)
    item.desired_hashes[resource.plural] = DesiredHash(inputs, mark)
    if _is_as_left(child, item, mark):
        return None
    marked = merged(wanted, {"metadata": {"annotations": {labels.APPLIED_HASH: mark}}})
    live = await ctx.client.get_or_none(resource, namespace, name) if child else None
    if live is None:
        try:
            with ctx.cache.pending_writes.creating(resource, namespace, name):
                created = await ctx.client.create(resource, namespace, merged(marked, on_create()))
        except AlreadyExists:
            live = await ctx.client.get(resource, namespace, name)
        else:
            ctx.cache.children.store_written(resource, created)
            return None
    check_owner(item, resource, live)
    patch = changes(live, marked)
    written = await ctx.client.patch(resource, namespace, name, patch) if patch else live
    ctx.cache.children.store_written(resource, written)
    return live


def _is_as_left(child: Child | None, item: CustomObject, mark: str) -> bool:
    """Whether a child is as it was last written, for this object and with this mark."""
    return child is not None and child.in_sync and (child.owner_uid, child.applied_hash) == (item.uid, mark)


async def ensure_absent(ctx: Context, item: CustomObject, resource: ApiResource, name: str) -> None:
    """Delete a child that is no longer wanted; somebody else's object of that name stays."""
    child = ctx.cache.children.get(resource, item.key.namespace, name)
    if child is None or child.owner_uid != item.uid:
        return
    await ctx.client.delete(resource, item.key.namespace, name, uid=child.uid)
    ctx.cache.children.delete(resource, {"metadata": {"namespace": item.key.namespace, "name": name}})


def check_owner(item: CustomObject, resource: ApiResource, live: Json) -> None:
    """NameTaken when an object belongs to somebody else, Conflict when to a deleted one of ours."""
    name = live["metadata"]["name"]
    holder = owner_of(live)
    if holder is None or (holder.kind, holder.name) != (item.key.kind, item.key.name):
        raise NameTaken(resource, name)
    if holder.uid != item.uid or "deletionTimestamp" in live["metadata"]:
        raise Conflict(f"{resource.kind} {name} of a deleted {item.key.kind} is about to go")


def merged(base: Json, over: Json) -> Json:
    """Two objects as one; `over` wins."""
    result = dict(base)
    for key, value in over.items():
        nested = result.get(key)
        result[key] = merged(nested, value) if isinstance(nested, dict) and isinstance(value, dict) else value
    return result
