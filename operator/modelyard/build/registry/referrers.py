"""What refers to a manifest: its SBOM, its provenance, its signatures.

Registries without the list of the specification's version 1.1 get an index under a tag that follows from
the digest, kept by whoever pushes:
https://github.com/opencontainers/distribution-spec/blob/main/spec.md#referrers-tag-schema.
There, two who push referrers of one manifest at the same time can lose one: nothing makes it safe.
"""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

from modelyard.build.errors import RegistryNotFoundError
from modelyard.build.reference import Reference
from modelyard.build.registry import listing, manifests
from modelyard.build.registry.answers import digest_of
from modelyard.build.registry.media_types import OCI_INDEX, Descriptor
from modelyard.build.registry.transport import Transport


def referrers(
    transport: Transport, repository: Reference, digest: str, artifact_type: str | None
) -> list[Descriptor]:
    """All of them, or those of one type; none for a manifest that is not there."""
    try:
        found = listing.referrers(transport, repository, digest)
    except RegistryNotFoundError:
        found = _index(transport, repository, digest)
    return [item for item in found if artifact_type in {None, item.get("artifactType")}]


def record(
    transport: Transport, repository: Reference, body: bytes, media_type: str, manifest: dict[str, Any]
) -> None:
    """Add a manifest that was pushed to the index of its subject, in a registry that does not do so."""
    subject = manifest["subject"]["digest"]
    own = _descriptor(body, media_type, manifest)
    others = [item for item in _index(transport, repository, subject) if item.get("digest") != own["digest"]]
    index = {"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": [*others, own]}
    manifests.write(transport, repository, json.dumps(index).encode(), OCI_INDEX, referrers_tag(subject))


def referrers_tag(digest: str) -> str:
    """`sha256-…`: the tag of the index of what refers to a manifest."""
    return digest.replace(":", "-")


def _index(transport: Transport, repository: Reference, digest: str) -> list[Descriptor]:
    reference = replace(repository, tag=referrers_tag(digest), digest=None)
    try:
        index = manifests.parse(manifests.read(transport, reference), reference)
    except RegistryNotFoundError:
        return []
    return list(index.get("manifests") or [])


def _descriptor(body: bytes, media_type: str, manifest: dict[str, Any]) -> Descriptor:
    kind = manifest.get("artifactType") or (manifest.get("config") or {}).get("mediaType")
    optional = {"artifactType": kind, "annotations": manifest.get("annotations")}
    known = {"mediaType": media_type, "digest": digest_of(body), "size": len(body)}
    return known | {key: value for key, value in optional.items() if value}
