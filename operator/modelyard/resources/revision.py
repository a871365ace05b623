"""The record of a version: a ControllerRevision owned by the object."""

from __future__ import annotations

from typing import NamedTuple

from modelyard.api.names import API_VERSION
from modelyard.kube.types import REVISIONS, Json
from modelyard.resources.labels import labels_of, revision_name


class Owner(NamedTuple):
    """The object of ours that an object belongs to."""

    kind: str
    name: str
    uid: str


def owner_reference(owner: Owner) -> Json:
    """The controller reference, by which the garbage collector finds what belongs to an object.

    It does not block the owner's deletion: that would take the right to write finalizers.
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
    """The object of ours that controls this one, or None."""
    for reference in body["metadata"].get("ownerReferences", ()):
        if reference.get("controller") and reference["apiVersion"] == API_VERSION:
            return Owner(reference["kind"], reference["name"], reference["uid"])
    return None


def metadata(owner: Owner, name: str) -> Json:
    """Metadata of an object that belongs to one of ours."""
    return {
        "name": name,
        "labels": labels_of(owner.kind, owner.name),
        "ownerReferences": [owner_reference(owner)],
    }


def revision(owner: Owner, version: int, data: Json, annotations: Json) -> Json:
    """The record of a version; creating its name is atomic, so a version is given once."""
    return {
        **REVISIONS.header(),
        "metadata": metadata(owner, revision_name(owner.kind, owner.name, version))
        | {"annotations": annotations},
        "revision": version,
        "data": data,
    }
