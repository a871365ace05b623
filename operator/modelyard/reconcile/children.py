"""Children: made by POST, changed by what differs, never taken from somebody else.

A change is a JSON merge patch of the fields that differ. Server-side apply would not do after a POST: the
fields of the POST stay owned by its Update entry, so what a later apply leaves out is never removed, and
leaving `replicas` out, for the autoscaler to own, would reset it to 1 after an apply that had it.
https://kubernetes.io/docs/reference/using-api/server-side-apply/#migration-between-client-side-and-server-side-apply
"""

from __future__ import annotations

from modelyard.kube.errors import AlreadyExists, Conflict
from modelyard.kube.merge import changes, fingerprint
from modelyard.kube.types import ApiResource, Json
from modelyard.reconcile.context import Context
from modelyard.reconcile.known import Item
from modelyard.resources import labels
from modelyard.resources.revision import owner_of


class NameTaken(Exception):
    """The name of a child is held by an object that is not ours."""

    def __init__(self, resource: ApiResource, name: str):
        super().__init__(
            f"{resource.kind} {name} exists and does not belong to this object: delete it, or give"
            " this object another name"
        )


async def ensure(
    ctx: Context, item: Item, resource: ApiResource, wanted: Json, at_first: Json | None = None
) -> Json | None:
    """Make a child say what is wanted; the live object when it had to be looked at, else None.

    `at_first` is merged in when the child is created, and left alone from then on.
    NameTaken when the name belongs to somebody else; Conflict while an older one of ours is being deleted.
    """
    name = wanted["metadata"]["name"]
    namespace = item.key.namespace
    mark = fingerprint(wanted)
    child = ctx.store.child(resource, namespace, name)
    if child and child.trusted and (child.owner_uid, child.applied) == (item.uid, mark):
        return None
    marked = merged(wanted, {"metadata": {"annotations": {labels.APPLIED: mark}}})
    live = await ctx.client.find(resource, namespace, name) if child else None
    if live is None:
        try:
            created = await ctx.client.create(resource, namespace, merged(marked, at_first or {}))
        except AlreadyExists:
            live = await ctx.client.get(resource, namespace, name)
        else:
            ctx.store.wrote_child(resource, created)
            return None
    check_owner(item, resource, live)
    patch = changes(live, marked)
    written = await ctx.client.merge(resource, namespace, name, patch) if patch else live
    ctx.store.wrote_child(resource, written)
    return live


async def absent(ctx: Context, item: Item, resource: ApiResource, name: str) -> None:
    """Delete a child that is no longer wanted; somebody else's object of that name stays."""
    child = ctx.store.child(resource, item.key.namespace, name)
    if child is None or child.owner_uid != item.uid:
        return
    await ctx.client.delete(resource, item.key.namespace, name, uid=child.uid)
    ctx.store.drop_child(resource, {"metadata": {"namespace": item.key.namespace, "name": name}})


def check_owner(item: Item, resource: ApiResource, live: Json) -> None:
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
