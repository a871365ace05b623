"""The object of a kind of this API that another object belongs to.

https://kubernetes.io/docs/concepts/overview/working-with-objects/owners-dependents/
"""

from __future__ import annotations

from typing import NamedTuple

from modelyard.api.kinds import KINDS
from modelyard.api.labels import MANAGED_BY, MANAGER
from modelyard.api.names import API_VERSION, GROUP, is_object_name
from modelyard.kube.types import Json


class Owner(NamedTuple):
    """The kind, name and UID of an object that owns others in its namespace.

    The UID is empty for an object that only labels name: nothing owns its children until it adopts them.
    """

    kind: str
    name: str
    uid: str


def owner_reference(owner: Owner) -> Json:
    """Return the controller reference by which the garbage collector finds the objects of an owner.

    It does not block the deletion of the owner: that needs the right to update the owner's finalizers.
    """
    return {
        "apiVersion": API_VERSION,
        "kind": owner.kind,
        "name": owner.name,
        "uid": owner.uid,
        "controller": True,
        "blockOwnerDeletion": False,
    }


def owner_of(body: Json) -> Owner | None:
    """Return the owner that controls an object, None if the controller is not of a kind of this API.

    A name that no object can have names no owner: the API server takes any text in an owner reference.
    """
    for reference in body["metadata"].get("ownerReferences", ()):
        if reference.get("controller") and reference["apiVersion"] == API_VERSION:
            owner = Owner(reference["kind"], reference["name"], reference["uid"])
            return owner if is_object_name(owner.name) else None
    return None


def adoptable_by(body: Json) -> Owner | None:
    """Return the owner, without a UID, that the labels of an object name; None if something controls it.

    Labels that name objects of several kinds name no owner.
    """
    metadata = body["metadata"]
    found: Json = metadata.get("labels") or {}
    if found.get(MANAGED_BY) != MANAGER or any(
        reference.get("controller") for reference in metadata.get("ownerReferences", ())
    ):
        return None
    owners = [
        Owner(kind.name, name, "")
        for kind in KINDS
        if is_object_name(name := found.get(f"{GROUP}/{kind.singular}", ""))
    ]
    return owners[0] if len(owners) == 1 else None
