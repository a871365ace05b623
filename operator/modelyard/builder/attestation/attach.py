"""Attaches to an image, as OCI referrers, what is said of it.

Before the image itself is pushed, so that nobody, a policy controller least of all, sees an image that lacks
its signature: registries take a manifest whose `subject` is not there yet, see
https://github.com/opencontainers/distribution-spec/blob/main/spec.md#pushing-manifests-with-subject.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Final, Protocol

from modelyard.builder.attestation import (
    bundle,
    provenance,
    sbom,
)
from modelyard.builder.attestation.build_record import (
    BuildRecord,
    Json,
)
from modelyard.builder.attestation.bundle import Signer
from modelyard.contract.errors import about
from modelyard.oci import Descriptor
from modelyard.oci.errors import RegistryRefusedError
from modelyard.oci.media_types import OCI_MANIFEST
from modelyard.oci.reference import Reference
from modelyard.task_group import TaskGroup

_EMPTY: Final = b"{}"
_PREDICATE: Final = "in-toto.io/predicate-type"
_BUNDLED: Final = "dev.sigstore.bundle."  # names what is in a bundle to those who look at referrers only


class Registry(Protocol):
    """Of a registry, what attaching takes; see modelyard.oci."""

    def has_blob(self, repository: Reference, digest: str) -> bool: ...

    def upload_bytes(self, repository: Reference, data: bytes) -> Any: ...

    def put_referrers(self, repository: Reference, bodies: Sequence[bytes], media_type: str) -> None: ...


@dataclass(frozen=True)
class Attachment:
    """One document about an image."""

    media_type: str
    body: bytes
    annotations: dict[str, str] = field(default_factory=dict)


def attach(
    registry: Registry, repository: Reference, image: Descriptor, record: BuildRecord, signer: Signer | None
) -> None:
    """Attach bill of materials and provenance to an image of `repository`, and signed ones if there is a key.

    What is attached already is found to be the same. Raises RegistryError: an image is not to be had without.
    """
    with about("attestations of the image"):
        name = f"{repository.registry}/{repository.repository}"
        documents = tuple(attachments(name, image, record, signer))
        try:
            with TaskGroup() as tasks:
                tasks.start(lambda: _bring_empty(registry, repository))
                for document in documents:
                    tasks.start(partial(registry.upload_bytes, repository, document.body))
                tasks.join()
            bodies = [manifest(image, document) for document in documents]
            registry.put_referrers(repository, bodies, OCI_MANIFEST)
        except RegistryRefusedError as error:
            raise RegistryRefusedError(
                f"{error.message}: where the registry takes no OCI artifacts, set the chart's"
                " build.attestations.enabled to false"
            ) from None


def _bring_empty(registry: Registry, repository: Reference) -> None:
    """Only the first image of a repository has to."""
    if not registry.has_blob(repository, _EMPTY_DESCRIPTOR["digest"]):
        registry.upload_bytes(repository, _EMPTY)


def attachments(
    repository: str, image: Descriptor, record: BuildRecord, signer: Signer | None
) -> Iterator[Attachment]:
    """The documents about an image; equal records give equal ones."""
    materials = sbom.sbom(repository, image["digest"], record)
    yield Attachment(sbom.ARTIFACT_TYPE, _encoded(materials))
    predicates = {
        provenance.PREDICATE_TYPE: provenance.provenance(record),
        sbom.PREDICATE_TYPE: materials,
        bundle.SIGNATURE_TYPE: {},
    }
    statements = {
        kind: _encoded(provenance.statement(repository, image["digest"], kind, predicate))
        for kind, predicate in predicates.items()
    }
    made = provenance.PREDICATE_TYPE
    yield Attachment(provenance.MEDIA_TYPE, statements[made], {_PREDICATE: made})
    if signer is None:
        return
    for kind, statement in statements.items():
        annotations = {f"{_BUNDLED}content": "dsse-envelope", f"{_BUNDLED}predicateType": kind}
        yield Attachment(bundle.MEDIA_TYPE, bundle.bundle(statement, signer), annotations)


def manifest(subject: Descriptor, attachment: Attachment) -> bytes:
    """https://github.com/opencontainers/image-spec/blob/main/manifest.md#guidelines-for-artifact-usage."""
    whole = {
        "schemaVersion": 2,
        "mediaType": OCI_MANIFEST,
        "artifactType": attachment.media_type,
        "config": _EMPTY_DESCRIPTOR,
        "layers": [_descriptor(attachment.media_type, attachment.body)],
        "subject": {key: subject[key] for key in ("mediaType", "digest", "size")},
    }
    return _encoded(whole | ({"annotations": attachment.annotations} if attachment.annotations else {}))


def _encoded(document: Json) -> bytes:
    return json.dumps(document, sort_keys=True, separators=(",", ":")).encode()


def _descriptor(media_type: str, content: bytes) -> Descriptor:
    digest = f"sha256:{hashlib.sha256(content).hexdigest()}"
    return {"mediaType": media_type, "digest": digest, "size": len(content)}


_EMPTY_DESCRIPTOR: Final = _descriptor("application/vnd.oci.empty.v1+json", _EMPTY)
