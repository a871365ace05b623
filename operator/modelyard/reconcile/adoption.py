"""Adoption: objects with the labels of this API and without a controller get their owner reference back.

A backup does not restore owner references, and `kubectl delete --cascade=orphan` removes them. An adopted
object keeps its name and content: a version its number, a Secret its keys, a Deployment its pods.
"""

from __future__ import annotations

from modelyard.api import labels
from modelyard.api.owners import Owner, adoptable_by, owner_of, owner_reference
from modelyard.api.resources import CUSTOM_RESOURCES
from modelyard.kube.errors import Conflict
from modelyard.kube.types import ApiResource, Json
from modelyard.reconcile.context import Context
from modelyard.reconcile.objects import CustomObject


class NameTaken(Exception):
    """The name of a child belongs to an object of another owner."""

    def __init__(self, obj: CustomObject, resource: ApiResource, name: str):
        wanted = labels.text_of(_labels(obj))
        super().__init__(
            f"{resource.kind} {name} exists and does not belong to this object. Delete it, rename this"
            f" object, or label {resource.kind} {name} with {wanted} for its adoption"
        )


async def claim(ctx: Context, obj: CustomObject, resource: ApiResource, live: Json) -> Json:
    """Return the metadata of a patch that adopts a live object, empty if the custom object owns it already.

    The patch has the UID and the resourceVersion of the live object as preconditions.

    Raises NameTaken if the live object has another owner, or neither a controller nor the labels of an
    adoptable object. Raises Conflict if its owner is a deleted object of the same name, or if it is being
    deleted itself. Raises Conflict, too, if the custom object is being deleted.
    """
    metadata = live["metadata"]
    owner = owner_of(live) or adoptable_by(live)
    if owner is None or (owner.kind, owner.name) != (obj.key.kind, obj.key.name):
        raise NameTaken(obj, resource, metadata["name"])
    if owner.uid not in {obj.uid, ""} or "deletionTimestamp" in metadata:
        raise Conflict(
            f"{resource.kind} {metadata['name']} of a deleted {obj.key.kind} still waits for its deletion"
        )
    if owner.uid == obj.uid:
        return {}
    await confirm_alive(ctx, obj)
    reference = owner_reference(Owner(obj.key.kind, obj.key.name, obj.uid))
    others = [
        other
        for other in metadata.get("ownerReferences", ())
        if (other["apiVersion"], other["kind"]) != (reference["apiVersion"], reference["kind"])
    ]
    return {
        "uid": metadata["uid"],
        "resourceVersion": metadata["resourceVersion"],
        "ownerReferences": [*others, reference],
    }


async def confirm_alive(ctx: Context, obj: CustomObject) -> None:
    """Raise Conflict if a custom object is deleted or being deleted, which the cache may not show yet.

    The garbage collector removes owner references while it orphans the children of a deleted object. An
    adoption at this moment would let it delete them. The child is therefore read before its owner.
    https://github.com/kubernetes/kubernetes/blob/v1.33.0/pkg/controller/controller_ref_manager.go
    """
    key = obj.key
    live = await ctx.client.get_or_none(CUSTOM_RESOURCES[key.kind], key.namespace, key.name)
    metadata = live["metadata"] if live else {}
    if metadata.get("uid") != obj.uid or "deletionTimestamp" in metadata:
        ctx.cache.objects.mark_stale(key)
        raise Conflict(f"{key} is deleted, so it adopts no object")


def is_adoptable(obj: CustomObject, live: Json) -> bool:
    """Return whether a custom object adopts a live object."""
    owner = adoptable_by(live)
    return owner is not None and (owner.kind, owner.name) == (obj.key.kind, obj.key.name)


def _labels(obj: CustomObject) -> Json:
    return labels.labels_of(obj.key.kind, obj.key.name)
