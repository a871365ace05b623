"""Blobs as the registry client serves them."""

from __future__ import annotations

import pytest
from tests.support.web_server import (
    Response,
    WebServer,
)
from tests.unit.oci.conftest import (
    DIGEST,
    MemoryContent,
)
from tests.unit.oci.fake_registry import (
    FakeRegistry,
    digest_of,
)

from modelyard.oci import RegistryClient
from modelyard.oci.errors import RegistryRefusedError
from modelyard.oci.reference import Reference


def test_all_requests_use_one_connection(
    fake: FakeRegistry, registry: RegistryClient, repository: Reference
) -> None:
    registry.upload(repository, MemoryContent())
    registry.upload_bytes(repository, b"{}")
    registry.has_blob(repository, DIGEST)
    assert len(fake.calls) == 6
    assert fake.connections == 1


def test_has_blob_is_true_for_an_uploaded_blob_only(
    fake: FakeRegistry, registry: RegistryClient, repository: Reference
) -> None:
    registry.upload_bytes(repository, b"x")
    assert registry.has_blob(repository, digest_of(b"x"))
    assert not registry.has_blob(repository, DIGEST)


def test_blob_with_another_digest_than_requested_is_refused(web: WebServer, registry: RegistryClient) -> None:
    web.respond = lambda _: Response(body=b"{}")
    with pytest.raises(RegistryRefusedError, match=f"has the digest {digest_of(b'{}')}"):
        registry.blob_bytes(Reference(web.address, "x"), DIGEST)
