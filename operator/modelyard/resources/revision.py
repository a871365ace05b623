"""Builders of a ControllerRevision, which records a version, and of the metadata of every child."""

from __future__ import annotations

from modelyard.api.labels import labels_of, revision_name
from modelyard.api.owners import Owner, owner_reference
from modelyard.kube.types import REVISIONS, Json


def metadata(owner: Owner, name: str) -> Json:
    """Return the metadata of a child: its name, its labels and its owner."""
    return {
        "name": name,
        "labels": labels_of(owner.kind, owner.name),
        "ownerReferences": [owner_reference(owner)],
    }


def controller_revision(owner: Owner, version: int, data: Json, annotations: Json) -> Json:
    """Return the ControllerRevision of a version.

    Its name has the version in it. The API server creates each name once, so two processes cannot both record
    the same version.
    """
    name = revision_name(owner.kind, owner.name, version)
    return {
        **REVISIONS.header(),
        "metadata": metadata(owner, name) | {"annotations": annotations},
        "revision": version,
        "data": data,
    }
