"""Copies of blobs between registries."""

from __future__ import annotations

import pytest
from tests.unit.oci.conftest import (
    BODY,
    DIGEST,
    MIB,
)
from tests.unit.oci.fake_registry import FakeRegistry

from modelyard.oci import RegistryClient
from modelyard.oci.errors import RegistryNotFoundError
from modelyard.oci.reference import Reference


def test_copy_resumes_after_a_break(
    fake: FakeRegistry, registry: RegistryClient, repository: Reference
) -> None:
    source = FakeRegistry()
    try:
        source.blobs["base", DIGEST] = BODY
        target, fake.break_after = repository, [5 * MIB]
        registry.copy_blob(Reference(source.address, "base"), target, DIGEST, len(BODY))
    finally:
        source.stop()
    assert fake.blobs["models/x", DIGEST] == BODY


def test_copy_of_a_missing_blob_leaves_no_upload(
    fake: FakeRegistry, registry: RegistryClient, repository: Reference
) -> None:
    with pytest.raises(RegistryNotFoundError, match="models/none"):
        registry.copy_blob(Reference(fake.address, "models/none"), repository, DIGEST, 1)
    assert fake.sessions == {}
