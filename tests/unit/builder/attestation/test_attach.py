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
from modelyard.contract.errors import BuildFailedError
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


class FakeRegistry:
    """Keeps what it gets; refuses a manifest whose blobs it has not."""

    def __init__(self, error: BuildFailedError | None = None) -> None:
        self.blobs: dict[str, bytes] = {}
        self.manifests: dict[str, dict[str, Any]] = {}
        self.error = error
        self.sent = 0

    def upload_bytes(self, repository: Reference, data: bytes) -> None:
        assert str(repository) == REPOSITORY
        self.sent += 1
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


def _attached(record: BuildRecord, signer: KeySigner | None, registry: FakeRegistry) -> FakeRegistry:
    attach(registry, parse_reference(REPOSITORY), DESCRIPTOR, record, signer)
    return registry


def test_bill_of_materials_and_provenance(record: BuildRecord) -> None:
    registry = _attached(record, None, FakeRegistry())
    documents = dict(registry.documents())
    assert documents["application/vnd.cyclonedx+json"]["bomFormat"] == "CycloneDX"
    statement = documents["application/vnd.in-toto+json"]
    assert statement["predicateType"] == "https://slsa.dev/provenance/v1"
    assert statement["subject"][0]["digest"] == {"sha256": "1" * 64}
    for manifest in registry.manifests.values():
        assert manifest["subject"] == {"mediaType": OCI, "digest": IMAGE, "size": 1234}
    assert len(documents) == 2


def test_a_key_adds_signed_ones(record: BuildRecord, signer: KeySigner) -> None:
    registry = _attached(record, signer, FakeRegistry())
    signed = [document for kind, document in registry.documents() if kind == BUNDLE]
    statements = [json.loads(base64.b64decode(item["dsseEnvelope"]["payload"])) for item in signed]
    assert [statement["predicateType"] for statement in statements] == [
        "https://slsa.dev/provenance/v1",
        "https://cyclonedx.org/bom",
        "https://sigstore.dev/cosign/sign/v1",
    ]
    told = [
        manifest["annotations"]["dev.sigstore.bundle.predicateType"]
        for manifest in registry.manifests.values()
        if manifest["artifactType"] == BUNDLE
    ]
    assert told == [statement["predicateType"] for statement in statements]


def test_attaching_again_adds_nothing(record: BuildRecord, signer: KeySigner) -> None:
    registry = _attached(record, signer, FakeRegistry())
    before, sent = dict(registry.manifests), registry.sent
    _attached(record, signer, registry)
    assert registry.manifests == before
    assert registry.sent == sent + len(before)  # what all need is there


def test_a_registry_that_is_down_is_tried_again(record: BuildRecord) -> None:
    with pytest.raises(RegistryUnavailableError) as failed:
        _attached(
            record, None, FakeRegistry(RegistryUnavailableError("r answers 503", retry_after_seconds=9))
        )
    assert failed.value.transient
    assert str(failed.value) == "attestations of the image: r answers 503"


def test_a_registry_that_takes_no_artifacts(record: BuildRecord) -> None:
    with pytest.raises(RegistryRefusedError, match=r"r answers 400: .*build\.attestations\.enabled"):
        _attached(record, None, FakeRegistry(RegistryRefusedError("r answers 400")))
