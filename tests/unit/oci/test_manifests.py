"""Manifests: digests, pushes and deletions."""

from __future__ import annotations

import hashlib
import json

import pytest
from tests.support.web_server import (
    Response,
    WebServer,
)
from tests.unit.oci.fake_registry import (
    FakeRegistry,
    digest_of,
)

from modelyard.oci import RegistryClient
from modelyard.oci.errors import RegistryRefusedError
from modelyard.oci.media_types import OCI_MANIFEST
from modelyard.oci.reference import Reference

DIGEST = "sha256:" + "a" * 64
MANIFEST = json.dumps({"schemaVersion": 2, "mediaType": OCI_MANIFEST}).encode()
IMAGE = digest_of(MANIFEST)


def test_resolve_requests_only_the_headers(web: WebServer, registry: RegistryClient) -> None:
    web.respond = lambda _: Response(headers={"Docker-Content-Digest": DIGEST})
    assert registry.resolve(f"{web.address}/models/x:1") == DIGEST
    assert [(request.method, request.path) for request in web.requests] == [
        ("HEAD", "/v2/models/x/manifests/1")
    ]


def test_resolve_computes_a_digest_that_the_headers_lack(web: WebServer, registry: RegistryClient) -> None:
    web.respond = lambda _: Response(body=b"{}")
    assert registry.resolve(f"{web.address}/models/x:1") == "sha256:" + hashlib.sha256(b"{}").hexdigest()


def test_missing_image_resolves_to_none(web: WebServer, registry: RegistryClient) -> None:
    assert registry.resolve(f"{web.address}/models/x:1") is None


def test_manifest_with_another_digest_than_requested_is_refused(
    web: WebServer, registry: RegistryClient
) -> None:
    web.respond = lambda _: Response(body=b"{}")
    with pytest.raises(RegistryRefusedError, match="digest"):
        registry.manifest(Reference(web.address, "x", digest=DIGEST))


@pytest.mark.parametrize("body", [b"", b"[]", b"{"])
def test_manifest_that_is_not_a_json_object_is_refused(
    web: WebServer, registry: RegistryClient, body: bytes
) -> None:
    web.respond = lambda _: Response(body=body)
    with pytest.raises(RegistryRefusedError, match="is not a JSON object"):
        registry.manifest(Reference(web.address, "x", "1"))


def test_manifest_is_pushed_with_a_tag_or_its_digest(
    fake: FakeRegistry, registry: RegistryClient, repository: Reference
) -> None:
    assert registry.put_manifest(repository, MANIFEST, OCI_MANIFEST, tag="1") == IMAGE
    assert registry.resolve(f"{repository}:1") == IMAGE
    assert registry.put_manifest(repository, MANIFEST, OCI_MANIFEST, tag=None) == IMAGE
    assert [call.path.rpartition("/")[2] for call in fake.requests("PUT")] == ["1", IMAGE]
    assert fake.requests("PUT")[0].headers["content-type"] == OCI_MANIFEST


def test_manifest_is_deleted_unless_deletion_is_disabled(
    fake: FakeRegistry, registry: RegistryClient, repository: Reference
) -> None:
    registry.put_manifest(repository, MANIFEST, OCI_MANIFEST, tag=None)
    assert registry.delete_manifest(repository, IMAGE)
    assert registry.delete_manifest(repository, IMAGE)
    fake.deletion_enabled = False
    assert not registry.delete_manifest(repository, IMAGE)


def test_deleted_tag_leaves_its_manifest(
    fake: FakeRegistry, registry: RegistryClient, repository: Reference
) -> None:
    registry.put_manifest(repository, MANIFEST, OCI_MANIFEST, tag="1")
    assert registry.delete_tag(repository, "1")
    assert registry.resolve(f"{fake.address}/{repository.repository}:1") is None
    assert registry.manifest_bytes(repository.at(IMAGE)) == MANIFEST
