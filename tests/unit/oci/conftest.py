"""A client of the fake registry, and content to upload."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import pytest
from tests.unit.oci.fake_registry import (
    FakeRegistry,
    digest_of,
)

from modelyard.oci import RegistryClient
from modelyard.oci.reference import Reference
from modelyard.oci.registry_config import RegistryAccess
from modelyard.retry import Retry

MIB = 1024 * 1024
BODY = bytes(range(256)) * 80 * 1024  # 20 MiB: more than one part
DIGEST = digest_of(BODY)


@dataclass
class MemoryContent:
    """A ReadableAt that records the offsets at which it was opened."""

    body: bytes = BODY
    chunk_bytes: int = MIB
    size: int | None = None
    offsets: list[int] = field(default_factory=list)

    def open(self, offset: int) -> Iterator[bytes]:
        self.offsets.append(offset)
        for start in range(offset, len(self.body), self.chunk_bytes):
            yield self.body[start : start + self.chunk_bytes]


@pytest.fixture
def registry(retry: Retry) -> Iterator[RegistryClient]:
    with RegistryClient(RegistryAccess(), retry=retry) as registry:
        yield registry


@pytest.fixture
def repository(fake: FakeRegistry) -> Reference:
    return Reference(fake.address, "models/x")
