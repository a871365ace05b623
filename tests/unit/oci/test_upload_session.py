"""Upload sessions: reserved, lost and committed uploads."""

from __future__ import annotations

import pytest
from tests.unit.oci.conftest import (
    BODY,
    DIGEST,
    MIB,
    MemoryContent,
)
from tests.unit.oci.fake_registry import (
    Call,
    FakeRegistry,
    digest_of,
)

from modelyard.oci import (
    Blob,
    RegistryClient,
)
from modelyard.oci.errors import RegistryUnavailableError
from modelyard.oci.reference import Reference
from modelyard.oci.registry_config import RegistryAccess
from modelyard.retry import Retry


def test_reserved_upload_saves_a_request(
    fake: FakeRegistry, registry: RegistryClient, repository: Reference
) -> None:
    registry.reserve_uploads(repository, 2)
    other = Reference(fake.address, "models/y")
    for target, body in ((other, b"y"), (repository, b"1"), (repository, b"2"), (repository, b"3")):
        assert registry.upload_bytes(target, body) == Blob(digest_of(body), 1)
    assert set(fake.blobs.values()) == {b"y", b"1", b"2", b"3"}
    assert [call.method for call in fake.calls] == [
        "POST",
        "POST",
        "POST",
        "PUT",
        "PUT",
        "PUT",
        "POST",
        "PUT",
    ]


def test_close_cancels_unused_reserved_uploads(
    fake: FakeRegistry, retry: Retry, repository: Reference
) -> None:
    with RegistryClient(RegistryAccess(), retry=retry) as registry:
        registry.reserve_uploads(repository, 2)
        registry.upload_bytes(repository, b"x")
        assert len(fake.sessions) == 1
    assert fake.sessions == {}


@pytest.mark.parametrize("status", [400, 404])
def test_expired_reserved_uploads_are_replaced(
    fake: FakeRegistry, registry: RegistryClient, repository: Reference, waits: list[float], status: int
) -> None:
    """Reserved uploads may expire while a large model is uploaded."""
    registry.reserve_uploads(repository, 5)
    expired = set(fake.sessions)
    fake.refuse = lambda call: (status, {}) if call.path.split("?")[0].split("/")[-1] in expired else None
    for _ in range(5):
        assert registry.upload_bytes(repository, b"x") == Blob(digest_of(b"x"), 1)
    assert waits == []


def test_lost_upload_is_restarted(
    fake: FakeRegistry, registry: RegistryClient, repository: Reference
) -> None:
    fake.break_after, fake.loses_broken_uploads = [MIB], True
    content = MemoryContent()
    assert registry.upload(repository, content).digest == DIGEST
    assert content.offsets == [0, 0]
    assert len(fake.requests("POST")) == 2


def test_upload_that_is_lost_each_time_fails(
    fake: FakeRegistry, registry: RegistryClient, repository: Reference
) -> None:
    fake.break_after, fake.loses_broken_uploads = [MIB] * 100, True
    with pytest.raises(RegistryUnavailableError, match="404"):
        registry.upload(repository, MemoryContent())
    assert len(fake.requests("POST")) == 4


def test_commit_succeeds_although_its_response_is_lost(
    fake: FakeRegistry, registry: RegistryClient, repository: Reference
) -> None:
    """The second attempt finds no upload, but the blob."""

    def refuse(call: Call) -> tuple[int, dict[str, str]] | None:
        if call.method == "PUT" and not fake.blobs:
            fake.blobs["models/x", DIGEST] = BODY
            fake.sessions.clear()
            return 504, {}
        return None

    fake.refuse = refuse
    assert registry.upload(repository, MemoryContent()).digest == DIGEST
