"""Attestations attached to an image."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Sequence
from typing import Any

import pytest
from tests.unit.builder.attestation.conftest import (
    IMAGE,
    REPOSITORY,
)

from modelyard.builder.attestation.attach import attach
from modelyard.builder.attestation.build_record import BuildRecord
from modelyard.builder.attestation.signing_key import KeySigner
from modelyard.coded_error import CodedError
from modelyard.oci.errors import (
    RegistryRefusedError,
    RegistryUnavailableError,
)
from modelyard.oci.reference import (
    Reference,
    parse_reference,
)

OCI = "application/vnd.oci.image.manifest.v1+json"
DESCRIPTOR = {"mediaType": OCI, "digest": IMAGE, "size": 1234, "annotations": {"a": "b"}}
BUNDLE = "application/vnd.dev.sigstore.bundle.v0.3+json"


class MemoryReferrerRegistry:
    """A ReferrerRegistry in memory, which checks that the blobs of a manifest are pushed before."""

    def __init__(self, error: CodedError | None = None) -> None:
        self.blobs: dict[str, bytes] = {}
        self.manifests: dict[str, dict[str, Any]] = {}
        self.error = error
        self.uploads = 0

    def upload_bytes(self, repository: Reference, data: bytes) -> None:
        assert str(repository) == REPOSITORY
        self.uploads += 1
        self.blobs[f"sha256:{hashlib.sha256(data).hexdigest()}"] = data

    def has_blob(self, repository: Reference, digest: str) -> bool:
        return digest in self.blobs

    def put_referrers(self, repository: Reference, bodies: Sequence[bytes], media_type: str) -> None:
        if self.error:
            raise self.error
        for body in bodies:
            manifest = json.loads(body)
            assert manifest["mediaType"] == media_type
            for blob in [manifest["config"], *manifest["layers"]]:
                assert len(self.blobs[blob["digest"]]) == blob["size"]
            self.manifests[f"sha256:{hashlib.sha256(body).hexdigest()}"] = manifest

    def documents(self) -> list[tuple[str, Any]]:
        return [
            (manifest["artifactType"], json.loads(self.blobs[manifest["layers"][0]["digest"]]))
            for manifest in self.manifests.values()
        ]


def _attach(
    record: BuildRecord, signer: KeySigner | None, registry: MemoryReferrerRegistry
) -> MemoryReferrerRegistry:
    attach(registry, parse_reference(REPOSITORY), DESCRIPTOR, record, signer)
    return registry


def test_bill_of_materials_and_provenance_are_attached(record: BuildRecord) -> None:
    registry = _attach(record, None, MemoryReferrerRegistry())
    documents = dict(registry.documents())
    assert documents["application/vnd.cyclonedx+json"]["bomFormat"] == "CycloneDX"
    statement = documents["application/vnd.in-toto+json"]
    assert statement["predicateType"] == "https://slsa.dev/provenance/v1"
    assert statement["subject"][0]["digest"] == {"sha256": "1" * 64}
    for manifest in registry.manifests.values():
        assert manifest["subject"] == {"mediaType": OCI, "digest": IMAGE, "size": 1234}
    assert len(documents) == 2


def test_signer_adds_signed_statements(record: BuildRecord, signer: KeySigner) -> None:
    registry = _attach(record, signer, MemoryReferrerRegistry())
    signed = [document for kind, document in registry.documents() if kind == BUNDLE]
    statements = [json.loads(base64.b64decode(item["dsseEnvelope"]["payload"])) for item in signed]
    assert [statement["predicateType"] for statement in statements] == [
        "https://slsa.dev/provenance/v1",
        "https://cyclonedx.org/bom",
        "https://sigstore.dev/cosign/sign/v1",
    ]
    annotated_types = [
        manifest["annotations"]["dev.sigstore.bundle.predicateType"]
        for manifest in registry.manifests.values()
        if manifest["artifactType"] == BUNDLE
    ]
    assert annotated_types == [statement["predicateType"] for statement in statements]


def test_second_attach_changes_nothing(record: BuildRecord, signer: KeySigner) -> None:
    registry = _attach(record, signer, MemoryReferrerRegistry())
    before, uploads = dict(registry.manifests), registry.uploads
    _attach(record, signer, registry)
    assert registry.manifests == before
    assert registry.uploads == uploads + len(before)  # the empty config is not pushed again


def test_unavailable_registry_is_a_transient_error(record: BuildRecord) -> None:
    with pytest.raises(RegistryUnavailableError) as failed:
        _attach(
            record,
            None,
            MemoryReferrerRegistry(RegistryUnavailableError("r answers 503", retry_after_seconds=9)),
        )
    assert failed.value.transient
    assert str(failed.value) == "attestations of the image: r answers 503"


def test_message_for_a_registry_without_artifacts_names_the_chart_value(record: BuildRecord) -> None:
    with pytest.raises(RegistryRefusedError, match=r"r answers 400: .*build\.attestations\.enabled"):
        _attach(record, None, MemoryReferrerRegistry(RegistryRefusedError("r answers 400")))
