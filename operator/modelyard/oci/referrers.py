"""Referrers of a manifest: its SBOM, its provenance, its signatures.

Registries without the referrers API of the specification's version 1.1 need an index under a tag that derives
from the digest. The client that pushes a referrer updates this index:
https://github.com/opencontainers/distribution-spec/blob/main/spec.md#referrers-tag-schema.

Such a registry has no conditional update. If two clients push referrers of one manifest at the same time, one
referrer may get lost.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from modelyard.oci import (
    manifests,
    pagination,
)
from modelyard.oci.errors import RegistryNotFoundError
from modelyard.oci.media_types import (
    OCI_INDEX,
    Descriptor,
)
from modelyard.oci.reference import Reference
from modelyard.oci.responses import digest_of
from modelyard.oci.transport import RegistryTransport
from modelyard.task_group import TaskGroup


def referrers(
    transport: RegistryTransport, repository: Reference, digest: str, artifact_type: str | None
) -> list[Descriptor]:
    """Return the referrers of a manifest with the artifact type, None for all types.

    The list is empty if the manifest does not exist.
    """
    try:
        found = pagination.referrers(transport, repository, digest)
    except RegistryNotFoundError:
        found = _tagged_index(transport, repository, digest)
    return [item for item in found if artifact_type in {None, item.get("artifactType")}]


def put(
    transport: RegistryTransport, repository: Reference, bodies: Sequence[bytes], media_type: str
) -> None:
    """Push manifests with one subject concurrently, and add them to its index if the registry has no list."""
    with TaskGroup() as tasks:
        pushed = [
            tasks.start(partial(manifests.put, transport, repository, body, media_type, None))
            for body in bodies
        ]
        tasks.join()
    unlisted = [body for body, listed in zip(bodies, pushed, strict=True) if not listed.result()]
    if unlisted:
        _add_to_index(transport, repository, unlisted, media_type)


def referrers_tag(digest: str) -> str:
    """Return the tag of the index with the referrers of a manifest, `sha256-<64 hex>`."""
    return digest.replace(":", "-")


def _add_to_index(
    transport: RegistryTransport, repository: Reference, bodies: Sequence[bytes], media_type: str
) -> None:
    added = [_descriptor(body, media_type, manifests.parse(body, repository)) for body in bodies]
    digests = {item["digest"] for item in added}
    subject = manifests.parse(bodies[0], repository)["subject"]["digest"]
    others = [
        item for item in _tagged_index(transport, repository, subject) if item.get("digest") not in digests
    ]
    index = {"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": [*others, *added]}
    manifests.put(transport, repository, json.dumps(index).encode(), OCI_INDEX, referrers_tag(subject))


def _tagged_index(transport: RegistryTransport, repository: Reference, digest: str) -> list[Descriptor]:
    """Return the entries of the index of a manifest, none if there is no index."""
    reference = replace(repository, tag=referrers_tag(digest), digest=None)
    try:
        index = manifests.parse(manifests.get(transport, reference), reference)
    except RegistryNotFoundError:
        return []
    return list(index.get("manifests") or [])


def _descriptor(body: bytes, media_type: str, manifest: dict[str, Any]) -> Descriptor:
    descriptor: Descriptor = {"mediaType": media_type, "digest": digest_of(body), "size": len(body)}
    artifact_type = manifest.get("artifactType") or (manifest.get("config") or {}).get("mediaType")
    if artifact_type:
        descriptor["artifactType"] = artifact_type
    if manifest.get("annotations"):
        descriptor["annotations"] = manifest["annotations"]
    return descriptor
