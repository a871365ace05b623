"""Children: created by POST, changed by merge patches, and left alone if they belong to another owner.

A patch has only the fields that differ (JSON merge patch, RFC 7386). Server-side apply does not work after a
POST: an `Update` entry of managedFields still owns the fields of the POST. A later apply that omits a field
therefore does not remove it. An apply that omits `replicas`, to leave them to the autoscaler, after one that
had them would reset the Deployment to 1 replica.
https://kubernetes.io/docs/reference/using-api/server-side-apply/#migration-between-client-side-and-server-side-apply
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Final

from modelyard.api import labels
from modelyard.kube.errors import AlreadyExists, Conflict
from modelyard.kube.merge import changes, fingerprint
from modelyard.kube.types import (
    AUTOSCALERS,
    CORE_SERVICES,
    DEPLOYMENTS,
    DISRUPTION_BUDGETS,
    HTTP_ROUTES,
    INGRESSES,
    ApiResource,
    Json,
)
from modelyard.metrics import REPAIRS
from modelyard.reconcile.adoption import claim, confirm_alive, is_adoptable
from modelyard.reconcile.context import Context
from modelyard.reconcile.objects import Child, CustomObject, DesiredHash
from modelyard.reconcile.repairs import CONTESTED

_LOG: Final = logging.getLogger(__name__)
# modelyard.metrics has the reason for series that begin at zero.
for _resource in (AUTOSCALERS, CORE_SERVICES, DEPLOYMENTS, DISRUPTION_BUDGETS, HTTP_ROUTES, INGRESSES):
    REPAIRS.labels(_resource.qualified)

_PATCH_ATTEMPTS: Final = 3  # each after a new read; then the work queue retries with a growing pause


async def create_or_patch(
    ctx: Context,
    obj: CustomObject,
    resource: ApiResource,
    name: str,
    build: Callable[[], Json],
    *,
    inputs: str = "",
    on_create: Callable[[], Json] = dict,
    on_patch: Callable[[Json, Json], Json] = lambda live, desired: {},
    keep: Callable[[Json, Json], Json] = lambda live, desired: desired,
    on_write: Callable[[Json], Json] = lambda desired: {},
) -> None:
    """Create a child, or patch the fields that differ.

    `build` returns the desired object. It must depend only on the owner's spec and on `inputs`. It is called
    only if one of them changed or the child is out of sync. Building unchanged children took half of the time
    of a reconcile. The fields of `on_create` are added when the child is created, and never patched.
    `on_patch` returns further fields to patch, from the live and the desired object. `keep` returns the
    desired object for a live child, from that child and the result of `build`. `on_write` returns further
    fields of the desired object that accompany a write and cause none.

    A child that another client changes again and again is repaired with growing pauses; the owner is then
    queued for the next repair.

    A live object that nothing controls is adopted if it has the labels of a child.

    Raises NameTaken if another object has the name. Raises Conflict while a child of a deleted owner of the
    same name waits for the garbage collector. Raises Conflict, too, if other clients change the child during
    each of 3 attempts to patch it.
    """
    namespace = obj.key.namespace
    child = ctx.cache.children.get(resource, namespace, name)
    known = obj.desired_hashes.get(resource.plural)
    if known and known.inputs == inputs and _is_up_to_date(child, obj, known.hash):
        return
    desired = build()
    desired_hash = fingerprint(desired)
    obj.desired_hashes[resource.plural] = DesiredHash(inputs, desired_hash)
    if _is_up_to_date(child, obj, desired_hash):
        return
    if child and child.applied_hash == desired_hash:
        wait = ctx.repairs.seconds_left(resource, namespace, name, ctx.now())
        if wait:
            ctx.queue.add_after(obj.key, wait)
            return
    live = await ctx.client.get_or_none(resource, namespace, name) if child else None
    if live is None:
        try:
            with ctx.cache.pending_writes.creating(resource, namespace, name):
                body = merge(merge(_with_hash(desired, desired_hash), on_write(desired)), on_create())
                created = await ctx.client.create(resource, namespace, body)
        except AlreadyExists:
            live = await ctx.client.get(resource, namespace, name)
        else:
            ctx.cache.children.store_written(resource, created)
            return
    await _patch(ctx, obj, resource, live, inputs, lambda live: keep(live, desired), on_patch, on_write)


def _with_hash(desired: Json, desired_hash: str) -> Json:
    return merge(desired, {"metadata": {"annotations": {labels.APPLIED_HASH: desired_hash}}})


async def _patch(
    ctx: Context,
    obj: CustomObject,
    resource: ApiResource,
    live: Json,
    inputs: str,
    desire: Callable[[Json], Json],
    on_patch: Callable[[Json, Json], Json],
    on_write: Callable[[Json], Json],
) -> None:
    """Patch the fields of a child that differ from the desired ones. Raises NameTaken and Conflict.

    The patch has the resourceVersion of the compared object. A change by another client between the read
    and the patch would otherwise count as the operator's own, and would never be reverted.
    """
    namespace, name = live["metadata"]["namespace"], live["metadata"]["name"]
    for attempt in range(1, _PATCH_ATTEMPTS + 1):
        claimed = await claim(ctx, obj, resource, live)
        desired = desire(live)
        desired_hash = fingerprint(desired)
        obj.desired_hashes[resource.plural] = DesiredHash(inputs, desired_hash)
        patch = merge(changes(live, _with_hash(desired, desired_hash)), on_patch(live, desired))
        if patch:
            patch = merge(patch, changes(live, on_write(desired)))
        if claimed:
            patch = merge(patch, {"metadata": claimed})
        if not patch:
            ctx.cache.children.store_written(resource, live)
            return
        version = {"metadata": {"resourceVersion": live["metadata"]["resourceVersion"]}}
        try:
            written = await ctx.client.patch(resource, namespace, name, merge(patch, version))
        except Conflict:
            if attempt == _PATCH_ATTEMPTS:
                raise
            live = await ctx.client.get(resource, namespace, name)
        else:
            if live["metadata"].get("annotations", {}).get(labels.APPLIED_HASH) == desired_hash:
                await _record_repair(ctx, obj, resource, live)
            rolls = "template" in patch.get("spec", {})
            ctx.cache.children.store_written(resource, written, rolls=rolls)
            return


async def _record_repair(ctx: Context, obj: CustomObject, resource: ApiResource, live: Json) -> None:
    """Count and log a repair, and report a child that another client changes again and again."""
    name, manager = live["metadata"]["name"], _latest_manager(live)
    REPAIRS.labels(resource.qualified).inc()
    _LOG.info("%s: reverted a change of %s %s by %s", obj.key, resource.kind, name, manager)
    count = ctx.repairs.record(resource, obj.key.namespace, name, ctx.now())
    if count == CONTESTED:
        note = (
            f"another client has changed {resource.kind} {name} {count} times, and the operator has reverted "
            "each change. It waits up to 5 minutes before the next one. managedFields name the client: "
            "kubectl get --show-managed-fields"
        )
        await ctx.recorder.record(obj, "ChildContested", note, warning=True)


def _latest_manager(live: Json) -> str:
    """Return the field manager that has changed an object last, without subresources.

    https://kubernetes.io/docs/reference/using-api/server-side-apply/#managers
    """
    entries = live["metadata"].get("managedFields") or ()
    changes_of_spec = [entry for entry in entries if not entry.get("subresource")]
    latest: Json = max(changes_of_spec, key=lambda entry: entry.get("time", ""), default={})
    return str(latest.get("manager", "another client"))


def _is_up_to_date(child: Child | None, obj: CustomObject, desired_hash: str) -> bool:
    """Return True if a child of this object was written with this hash and is still in sync."""
    if child is None or not child.in_sync:
        return False
    return child.owner_uid == obj.uid and child.applied_hash == desired_hash


async def ensure_absent(ctx: Context, obj: CustomObject, resource: ApiResource, name: str) -> None:
    """Delete a child if it exists, also an adoptable one; an object with another owner is left alone."""
    child = ctx.cache.children.get(resource, obj.key.namespace, name)
    if child is None or child.owner_uid not in {obj.uid, ""}:
        return
    if not child.owner_uid:
        live = await ctx.client.get_or_none(resource, obj.key.namespace, name)
        if live is None or live["metadata"]["uid"] != child.uid or not is_adoptable(obj, live):
            return
        await confirm_alive(ctx, obj)
    await ctx.client.delete(resource, obj.key.namespace, name, uid=child.uid)
    ctx.cache.children.delete(resource, {"metadata": {"namespace": obj.key.namespace, "name": name}})


def merge(base: Json, override: Json) -> Json:
    """Return two objects merged; fields of `override` win."""
    result = dict(base)
    for key, value in override.items():
        nested = result.get(key)
        result[key] = merge(nested, value) if isinstance(nested, dict) and isinstance(value, dict) else value
    return result
