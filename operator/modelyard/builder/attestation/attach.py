"""Attaches attestations to an image as OCI referrers, before the image itself is pushed.

This order keeps a policy controller from seeing an image without its signature. Registries accept a manifest
whose `subject` does not exist yet:
https://github.com/opencontainers/distribution-spec/blob/main/spec.md#pushing-manifests-with-subject.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Final, Protocol

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
from modelyard.signatures.envelope import (
    BUNDLE_TYPE,
    PREDICATE_ANNOTATION,
    PROVENANCE_TYPE,
    STATEMENT_TYPE,
)
from modelyard.task_group import TaskGroup

_EMPTY_CONFIG: Final = b"{}"
_PREDICATE_ANNOTATION: Final = "in-toto.io/predicate-type"
_CONTENT_ANNOTATION: Final = "dev.sigstore.bundle.content"
"""Annotation with the type of a bundle's content, for clients that list referrers only."""


class ReferrerRegistry(Protocol):
    """The methods of RegistryClient that `attach` needs."""

    def has_blob(self, repository: Reference, digest: str) -> bool:
        """Return whether a repository has a blob."""

    def upload_bytes(self, repository: Reference, data: bytes) -> object:
        """Upload a small blob."""

    def put_referrers(self, repository: Reference, bodies: Sequence[bytes], media_type: str) -> None:
        """Push manifests with one subject."""


@dataclass(frozen=True)
class Attachment:
    """A document about an image."""

    media_type: str
    body: bytes
    annotations: dict[str, str] = field(default_factory=dict)


def attach(
    registry: ReferrerRegistry,
    repository: Reference,
    image: Descriptor,
    record: BuildRecord,
    signer: Signer | None,
) -> None:
    """Attach the bill of materials and the provenance to an image, also signed if there is a signer.

    To attach them again changes nothing. Raises RegistryError: an image without attestations must not be
    published.
    """
    with about("attestations of the image"):
        name = f"{repository.registry}/{repository.repository}"
        documents = tuple(attachments(name, image, record, signer))
        try:
            with TaskGroup() as tasks:
                tasks.start(lambda: _push_empty_config(registry, repository))
                for document in documents:
                    tasks.start(partial(registry.upload_bytes, repository, document.body))
                tasks.join()
            bodies = [manifest(image, document) for document in documents]
            registry.put_referrers(repository, bodies, OCI_MANIFEST)
        except RegistryRefusedError as error:
            raise RegistryRefusedError(
                f"{error.message}: if the registry does not accept OCI artifacts, set"
                " build.attestations.enabled of the chart to false"
            ) from None


def _push_empty_config(registry: ReferrerRegistry, repository: Reference) -> None:
    """Push the config of all attachments, unless another image of the repository has pushed it already."""
    if not registry.has_blob(repository, _EMPTY_DESCRIPTOR["digest"]):
        registry.upload_bytes(repository, _EMPTY_CONFIG)


def attachments(
    repository: str, image: Descriptor, record: BuildRecord, signer: Signer | None
) -> Iterator[Attachment]:
    """Yield the documents about an image. Equal records give equal documents."""
    materials = sbom.sbom(repository, image["digest"], record)
    yield Attachment(sbom.ARTIFACT_TYPE, _encode(materials))
    predicates = {
        PROVENANCE_TYPE: provenance.provenance(record),
        sbom.PREDICATE_TYPE: materials,
        bundle.SIGNATURE_TYPE: {},
    }
    statements = {
        predicate_type: _encode(provenance.statement(repository, image["digest"], predicate_type, predicate))
        for predicate_type, predicate in predicates.items()
    }
    yield Attachment(
        STATEMENT_TYPE,
        statements[PROVENANCE_TYPE],
        {_PREDICATE_ANNOTATION: PROVENANCE_TYPE},
    )
    if signer is None:
        return
    for predicate_type, statement in statements.items():
        annotations = {
            _CONTENT_ANNOTATION: "dsse-envelope",
            PREDICATE_ANNOTATION: predicate_type,
        }
        yield Attachment(BUNDLE_TYPE, bundle.bundle(statement, signer), annotations)


def manifest(subject: Descriptor, attachment: Attachment) -> bytes:
    """Return the manifest that attaches a document to its subject.

    https://github.com/opencontainers/image-spec/blob/main/manifest.md#guidelines-for-artifact-usage
    """
    content: Json = {
        "schemaVersion": 2,
        "mediaType": OCI_MANIFEST,
        "artifactType": attachment.media_type,
        "config": _EMPTY_DESCRIPTOR,
        "layers": [_descriptor(attachment.media_type, attachment.body)],
        "subject": {key: subject[key] for key in ("mediaType", "digest", "size")},
    }
    if attachment.annotations:
        content["annotations"] = attachment.annotations
    return _encode(content)


def _encode(document: Json) -> bytes:
    return json.dumps(document, sort_keys=True, separators=(",", ":")).encode()


def _descriptor(media_type: str, content: bytes) -> Descriptor:
    digest = f"sha256:{hashlib.sha256(content).hexdigest()}"
    return {"mediaType": media_type, "digest": digest, "size": len(content)}


_EMPTY_DESCRIPTOR: Final = _descriptor("application/vnd.oci.empty.v1+json", _EMPTY_CONFIG)
