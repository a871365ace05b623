"""The record of a version: a ControllerRevision owned by the object."""

from __future__ import annotations

from modelyard.api.labels import labels_of, revision_name
from modelyard.api.owners import Owner, owner_reference
from modelyard.kube.types import REVISIONS, Json


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
