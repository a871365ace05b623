"""What refers to a manifest: its SBOM, its provenance, its signatures.

Registries without the list of the specification's version 1.1 get an index under a tag that follows from
the digest, kept by whoever pushes:
https://github.com/opencontainers/distribution-spec/blob/main/spec.md#referrers-tag-schema.
There, two who push referrers of one manifest at the same time can lose one: nothing makes it safe.
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
from modelyard.oci.transport import Transport
from modelyard.task_group import TaskGroup


def referrers(
    transport: Transport, repository: Reference, digest: str, artifact_type: str | None
) -> list[Descriptor]:
    """All of them, or those of one type; none for a manifest that is not there."""
    try:
        found = pagination.referrers(transport, repository, digest)
    except RegistryNotFoundError:
        found = _index(transport, repository, digest)
    return [item for item in found if artifact_type in {None, item.get("artifactType")}]


def put(transport: Transport, repository: Reference, bodies: Sequence[bytes], media_type: str) -> None:
    """Push manifests of one subject side by side, and list them where the registry does not."""
    with TaskGroup() as tasks:
        pushed = [
            tasks.start(partial(manifests.write, transport, repository, body, media_type, None))
            for body in bodies
        ]
        tasks.join()
    untracked = [body for body, tracked in zip(bodies, pushed, strict=True) if not tracked.result()]
    if untracked:
        _record(transport, repository, untracked, media_type)


def _record(transport: Transport, repository: Reference, bodies: Sequence[bytes], media_type: str) -> None:
    """Add manifests that were pushed to the index of their subject."""
    own = [_descriptor(body, media_type, manifests.parse(body, repository)) for body in bodies]
    digests = {item["digest"] for item in own}
    subject = manifests.parse(bodies[0], repository)["subject"]["digest"]
    others = [item for item in _index(transport, repository, subject) if item.get("digest") not in digests]
    index = {"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": [*others, *own]}
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
