"""Referrers of a manifest, in registries with and without a referrers API."""

from __future__ import annotations

import json

from tests.unit.oci.fake_registry import (
    FakeRegistry,
    digest_of,
)

from modelyard.oci import RegistryClient
from modelyard.oci.media_types import (
    OCI_INDEX,
    OCI_MANIFEST,
)
from modelyard.oci.reference import Reference
from modelyard.oci.referrers import referrers_tag

OTHER_DIGEST = "sha256:" + "a" * 64
MANIFEST = json.dumps({"schemaVersion": 2, "mediaType": OCI_MANIFEST}).encode()
IMAGE = digest_of(MANIFEST)


def _referrer(artifact_type: str) -> bytes:
    subject = {"mediaType": OCI_MANIFEST, "digest": IMAGE, "size": len(MANIFEST)}
    manifest = {
        "schemaVersion": 2,
        "artifactType": artifact_type,
        "subject": subject,
        "annotations": {"a": "b"},
    }
    return json.dumps(manifest).encode()


def test_index_lists_referrers_if_the_registry_does_not(
    fake: FakeRegistry, registry: RegistryClient, repository: Reference
) -> None:
    registry.put_manifest(repository, MANIFEST, OCI_MANIFEST, tag="1")
    for types in (["sbom", "provenance"], ["sbom"]):
        registry.put_referrers(repository, [_referrer(name) for name in types], OCI_MANIFEST)
    index = json.loads(fake.manifests["models/x", referrers_tag(IMAGE)])
    assert index["mediaType"] == OCI_INDEX
    found = registry.referrers(repository, IMAGE)
    assert [item["artifactType"] for item in found] == ["provenance", "sbom"]
    assert registry.referrers(repository, IMAGE, "sbom") == [
        {
            "mediaType": OCI_MANIFEST,
            "digest": digest_of(_referrer("sbom")),
            "size": len(_referrer("sbom")),
            "artifactType": "sbom",
            "annotations": {"a": "b"},
        }
    ]
    assert registry.referrers(repository, OTHER_DIGEST) == []


def test_index_is_not_pushed_if_the_registry_lists_referrers(
    fake: FakeRegistry, registry: RegistryClient, repository: Reference
) -> None:
    fake.lists_referrers = True
    registry.put_referrers(repository, [_referrer("sbom"), _referrer("provenance")], OCI_MANIFEST)
    assert len(fake.requests("PUT")) == 2


def test_index_is_pushed_once_for_several_referrers(
    fake: FakeRegistry, registry: RegistryClient, repository: Reference
) -> None:
    registry.put_referrers(repository, [_referrer(name) for name in "abc"], OCI_MANIFEST)
    pushes = [call for call in fake.requests("PUT") if call.path.endswith(referrers_tag(IMAGE))]
    assert len(pushes) == 1
    assert [item["artifactType"] for item in registry.referrers(repository, IMAGE)] == ["a", "b", "c"]
