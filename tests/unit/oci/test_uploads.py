"""Uploads of blobs: streamed, resumed, or replaced by a mount."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import dataclass

import pytest
from tests.unit.oci.conftest import BODY, DIGEST, MIB, MemoryContent
from tests.unit.oci.fake_registry import (
    Call,
    FakeRegistry,
    digest_of,
)

from modelyard.contract.errors import (
    SourceUnavailableError,
)
from modelyard.oci import (
    Blob,
    RegistryClient,
)
from modelyard.oci.errors import (
    BlobDigestMismatchError,
    RegistryForbiddenError,
    RegistryNotFoundError,
    RegistryRefusedError,
    RegistryTooLargeError,
    RegistryUnavailableError,
)
from modelyard.oci.reference import Reference


def test_blob_is_streamed_in_chunks(
    fake: FakeRegistry, registry: RegistryClient, repository: Reference
) -> None:
    seen: list[int] = []
    assert registry.upload(repository, MemoryContent(), progress=seen.append) == Blob(DIGEST, len(BODY))
    assert fake.blobs["models/x", DIGEST] == BODY
    assert [call.method for call in fake.calls] == ["POST", "PATCH", "PUT"]
    assert fake.calls[1].headers["transfer-encoding"] == "chunked"
    assert seen == [MIB * count for count in range(1, 21)]
    assert not fake.sessions


def test_known_size_is_sent_as_content_length(
    fake: FakeRegistry, registry: RegistryClient, repository: Reference
) -> None:
    assert registry.upload(repository, MemoryContent(size=len(BODY))).digest == DIGEST
    assert fake.requests("PATCH")[0].headers["content-length"] == str(len(BODY))
    assert "transfer-encoding" not in fake.requests("PATCH")[0].headers


@pytest.mark.parametrize("length", [len(BODY) + 1, len(BODY) - 1])
def test_wrong_size_of_the_content_does_not_hang(
    fake: FakeRegistry, registry: RegistryClient, repository: Reference, length: int
) -> None:
    """A registry waits for missing bytes, and reads surplus bytes as another request."""
    assert registry.upload(repository, MemoryContent(size=length)) == Blob(DIGEST, len(BODY))
    assert fake.blobs["models/x", DIGEST] == BODY


def test_content_is_read_while_the_upload_starts(
    fake: FakeRegistry, registry: RegistryClient, repository: Reference
) -> None:
    content, read = MemoryContent(), threading.Event()
    fake.refuse = lambda call: None if call.method != "POST" or read.wait(30) else (500, {})

    class Content:
        size = None

        def open(self, offset: int) -> Iterator[bytes]:
            read.set()
            return content.open(offset)

    assert registry.upload(repository, Content()).digest == DIGEST


def test_empty_blob_is_uploaded(fake: FakeRegistry, registry: RegistryClient, repository: Reference) -> None:
    assert registry.upload(repository, MemoryContent(b"")) == Blob(digest_of(b""), 0)
    assert registry.upload_bytes(repository, b"") == Blob(digest_of(b""), 0)


def test_small_blob_takes_two_requests(
    fake: FakeRegistry, registry: RegistryClient, repository: Reference
) -> None:
    assert registry.upload_bytes(repository, b"{}") == Blob(digest_of(b"{}"), 2)
    assert [call.method for call in fake.calls] == ["POST", "PUT"]
    assert registry.blob_bytes(repository, digest_of(b"{}")) == b"{}"


def test_broken_upload_is_resumed_at_the_last_byte(
    fake: FakeRegistry, registry: RegistryClient, repository: Reference
) -> None:
    fake.break_after = [3 * MIB + 5]
    content = MemoryContent()
    assert registry.upload(repository, content) == Blob(DIGEST, len(BODY))
    assert content.offsets == [0, 3 * MIB + 5]
    parts = [call.headers["content-range"] for call in fake.requests("PATCH")[1:]]
    assert parts == [f"{3 * MIB + 5}-{19 * MIB + 4}", f"{19 * MIB + 5}-{20 * MIB - 1}"]
    assert len(fake.requests("POST")) == 1


@pytest.mark.parametrize("broken_bytes", [3 * MIB + 5, 18 * MIB, 20 * MIB])
def test_upload_is_resumed_in_a_registry_that_notices_a_broken_connection_late(
    fake: FakeRegistry, registry: RegistryClient, repository: Reference, broken_bytes: int
) -> None:
    """The registry has more bytes when the first part arrives than it said before."""
    fake.break_after, fake.notices_breaks_late = [broken_bytes], True
    assert registry.upload(repository, MemoryContent()) == Blob(DIGEST, len(BODY))
    assert fake.blobs["models/x", DIGEST] == BODY
    assert len(fake.requests("POST")) == 1


def test_upload_begins_again_in_a_registry_that_refuses_each_range(
    fake: FakeRegistry, registry: RegistryClient, repository: Reference
) -> None:
    def refuse(call: Call) -> tuple[int, dict[str, str]] | None:
        is_part_of_first = "content-range" in call.headers and len(fake.requests("POST")) == 1
        return (416, {}) if is_part_of_first else None

    fake.break_after, fake.refuse = [MIB], refuse
    assert registry.upload(repository, MemoryContent()).digest == DIGEST
    assert len(fake.requests("POST")) == 2


def test_broken_part_is_retried(
    fake: FakeRegistry, registry: RegistryClient, repository: Reference, waits: list[float]
) -> None:
    fake.break_after = [MIB, 2 * MIB, 0]
    content = MemoryContent()
    assert registry.upload(repository, content).digest == DIGEST
    assert content.offsets == [0, MIB]
    assert waits == [0.5, 1.0]
    assert fake.blobs["models/x", DIGEST] == BODY


def test_upload_that_breaks_each_time_fails_and_is_cancelled(
    fake: FakeRegistry, registry: RegistryClient, repository: Reference, waits: list[float]
) -> None:
    fake.break_after = [0] * 100
    with pytest.raises(RegistryUnavailableError, match="cannot be reached"):
        registry.upload(repository, MemoryContent())
    assert len(waits) == 3
    assert not fake.sessions


def test_blob_too_large_for_a_proxy_is_sent_in_parts(
    fake: FakeRegistry, registry: RegistryClient, repository: Reference
) -> None:
    fake.refuse = lambda call: (413, {}) if "chunked" in call.headers.get("transfer-encoding", "") else None
    assert registry.upload(repository, MemoryContent()).digest == DIGEST
    assert [call.size for call in fake.requests("PATCH")] == [0, 16 * MIB, 4 * MIB]


def test_part_too_large_for_a_proxy_fails(
    fake: FakeRegistry, registry: RegistryClient, repository: Reference
) -> None:
    fake.refuse = lambda call: (413, {}) if call.method == "PATCH" else None
    with pytest.raises(RegistryTooLargeError, match=r"413.*client_max_body_size"):
        registry.upload(repository, MemoryContent())
    assert not fake.sessions


def test_upload_continues_after_rotation_of_credentials(
    fake: FakeRegistry, registry: RegistryClient, repository: Reference
) -> None:
    """The stream gets a 401 and cannot be sent twice. The requests for its parts log in again."""
    refusals = iter([(401, {"WWW-Authenticate": "Basic"})])
    fake.refuse = lambda call: next(refusals, None) if call.method == "PATCH" else None
    assert registry.upload(repository, MemoryContent()).digest == DIGEST


@pytest.mark.parametrize(
    ("status", "error"),
    [
        (401, RegistryForbiddenError),
        (403, RegistryForbiddenError),
        (404, RegistryNotFoundError),
        (429, RegistryUnavailableError),
        (400, RegistryRefusedError),
    ],
)
def test_error_at_the_start_of_an_upload_is_raised(
    fake: FakeRegistry, registry: RegistryClient, repository: Reference, status: int, error: type[Exception]
) -> None:
    fake.refuse = lambda _: (status, {})
    with pytest.raises(error, match=f"answers {status}"):
        registry.upload(repository, MemoryContent())
    assert (fake.blobs, fake.sessions) == ({}, {})


def test_content_with_another_digest_than_given_is_refused(
    fake: FakeRegistry, registry: RegistryClient, repository: Reference
) -> None:
    with pytest.raises(BlobDigestMismatchError, match=f"{DIGEST}, not sha256:0"):
        registry.upload(repository, MemoryContent(), digest="sha256:" + "0" * 64)
    assert (fake.blobs, fake.sessions) == ({}, {})


def test_content_that_changes_between_two_reads_is_refused(
    fake: FakeRegistry, registry: RegistryClient, repository: Reference
) -> None:
    fake.break_after = [MIB]
    with pytest.raises(RegistryRefusedError, match="DIGEST_INVALID: provided digest did not match"):
        registry.upload(repository, _ChangingContent(BODY, b"!" * len(BODY)))
    assert fake.blobs == {}


@dataclass
class _ChangingContent:
    first: bytes
    second: bytes
    size: int | None = None
    reads: int = 0

    def open(self, offset: int) -> Iterator[bytes]:
        body = self.second if self.reads else self.first
        self.reads += 1
        yield from MemoryContent(body, chunk_bytes=3 * MIB // 2).open(offset)


def test_error_of_the_content_is_raised_unchanged(
    fake: FakeRegistry, registry: RegistryClient, repository: Reference
) -> None:
    class Failing:
        size = None

        def open(self, offset: int) -> Iterator[bytes]:
            yield BODY[:MIB]
            raise SourceUnavailableError("the source is down")

    with pytest.raises(SourceUnavailableError, match="the source is down"):
        registry.upload(repository, Failing())
    assert (len(fake.requests("POST")), fake.sessions) == (1, {})


def test_mounted_blob_is_in_both_repositories(
    fake: FakeRegistry, registry: RegistryClient, repository: Reference
) -> None:
    registry.upload_bytes(repository, b"x")
    other = Reference(fake.address, "models/y")
    assert registry.mount_blob(other, digest_of(b"x"), "models/x")
    assert registry.has_blob(other, digest_of(b"x"))


def test_refused_mount_leaves_no_upload(
    fake: FakeRegistry, registry: RegistryClient, repository: Reference
) -> None:
    assert not registry.mount_blob(repository, DIGEST, "models/elsewhere")
    assert (len(fake.requests("DELETE")), fake.sessions) == (1, {})


@pytest.mark.parametrize("status", [400, 401, 403, 404, 405])
def test_error_of_a_mount_counts_as_refusal(
    fake: FakeRegistry, registry: RegistryClient, repository: Reference, status: int
) -> None:
    fake.refuse = lambda _: (status, {})
    assert not registry.mount_blob(repository, DIGEST, "models/elsewhere")
