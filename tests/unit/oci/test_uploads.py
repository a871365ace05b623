"""Pushing: blobs that arrive whole whatever breaks, and manifests with what refers to them."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field

import pytest
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
from modelyard.oci.media_types import (
    OCI_INDEX,
    OCI_MANIFEST,
)
from modelyard.oci.reference import Reference
from modelyard.oci.referrers import referrers_tag
from modelyard.oci.registry_config import RegistryAccess
from modelyard.retry import Retry

MIB = 1024 * 1024
BODY = bytes(range(256)) * 80 * 1024  # 20 MiB: more than one part
DIGEST = digest_of(BODY)


@dataclass
class Memory:
    """Content that notes from where it was read."""

    body: bytes = BODY
    chunk: int = MIB
    size: int | None = None
    opened: list[int] = field(default_factory=list)

    def open(self, offset: int) -> Iterator[bytes]:
        self.opened.append(offset)
        for start in range(offset, len(self.body), self.chunk):
            yield self.body[start : start + self.chunk]


@pytest.fixture
def fake() -> Iterator[FakeRegistry]:
    registry = FakeRegistry()
    yield registry
    registry.stop()


@pytest.fixture
def registry(retry: Retry) -> Iterator[RegistryClient]:
    with RegistryClient(RegistryAccess(), retry=retry) as registry:
        yield registry


@pytest.fixture
def repository(fake: FakeRegistry) -> Reference:
    return Reference(fake.address, "models/x")


def test_a_blob_is_streamed_and_hashed(
    fake: FakeRegistry, registry: RegistryClient, repository: Reference
) -> None:
    seen: list[int] = []
    assert registry.upload(repository, Memory(), progress=seen.append) == Blob(DIGEST, len(BODY))
    assert fake.blobs["models/x", DIGEST] == BODY
    assert [call.method for call in fake.calls] == ["POST", "PATCH", "PUT"]
    assert fake.calls[1].headers["transfer-encoding"] == "chunked"
    assert seen == [MIB * count for count in range(1, 21)]
    assert not fake.sessions


def test_a_length_that_is_known_is_told(
    fake: FakeRegistry, registry: RegistryClient, repository: Reference
) -> None:
    assert registry.upload(repository, Memory(size=len(BODY))).digest == DIGEST
    assert fake.asked("PATCH")[0].headers["content-length"] == str(len(BODY))
    assert "transfer-encoding" not in fake.asked("PATCH")[0].headers


@pytest.mark.parametrize("length", [len(BODY) + 1, len(BODY) - 1])
def test_a_length_that_is_wrong_does_not_hang(
    fake: FakeRegistry, registry: RegistryClient, repository: Reference, length: int
) -> None:
    """The registry would wait for the rest, or take what is left over for a request of its own."""
    assert registry.upload(repository, Memory(size=length)) == Blob(DIGEST, len(BODY))
    assert fake.blobs["models/x", DIGEST] == BODY


def test_the_content_is_read_while_the_registry_begins(
    fake: FakeRegistry, registry: RegistryClient, repository: Reference
) -> None:
    content, read = Memory(), threading.Event()
    fake.refuse = lambda call: None if call.method != "POST" or read.wait(30) else (500, {})

    class Told:
        size = None

        def open(self, offset: int) -> Iterator[bytes]:
            read.set()
            return content.open(offset)

    assert registry.upload(repository, Told()).digest == DIGEST


def test_one_connection_serves_again_and_again(
    fake: FakeRegistry, registry: RegistryClient, repository: Reference
) -> None:
    registry.upload(repository, Memory())
    registry.upload_bytes(repository, b"{}")
    registry.has_blob(repository, DIGEST)
    assert len(fake.calls) == 6
    assert fake.connections == 1


def test_uploads_that_were_begun_before(
    fake: FakeRegistry, registry: RegistryClient, repository: Reference
) -> None:
    registry.reserve_uploads(repository, 2)
    other = Reference(fake.address, "models/y")
    for place, body in ((other, b"y"), (repository, b"1"), (repository, b"2"), (repository, b"3")):
        assert registry.upload_bytes(place, body) == Blob(digest_of(body), 1)
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


def test_uploads_that_nobody_took_are_cancelled(
    fake: FakeRegistry, retry: Retry, repository: Reference
) -> None:
    with RegistryClient(RegistryAccess(), retry=retry) as registry:
        registry.reserve_uploads(repository, 2)
        registry.upload_bytes(repository, b"x")
        assert len(fake.sessions) == 1
    assert fake.sessions == {}


@pytest.mark.parametrize("status", [400, 404])
def test_uploads_that_were_begun_and_are_forgotten(
    fake: FakeRegistry, registry: RegistryClient, repository: Reference, waits: list[float], status: int
) -> None:
    """All of them, as after a model that took an hour."""
    registry.reserve_uploads(repository, 5)
    old = set(fake.sessions)
    fake.refuse = lambda call: (status, {}) if call.path.split("?")[0].split("/")[-1] in old else None
    for _ in range(5):
        assert registry.upload_bytes(repository, b"x") == Blob(digest_of(b"x"), 1)
    assert waits == []


def test_an_empty_blob(fake: FakeRegistry, registry: RegistryClient, repository: Reference) -> None:
    assert registry.upload(repository, Memory(b"")) == Blob(digest_of(b""), 0)
    assert registry.upload_bytes(repository, b"") == Blob(digest_of(b""), 0)


def test_a_small_blob_goes_in_one_piece(
    fake: FakeRegistry, registry: RegistryClient, repository: Reference
) -> None:
    assert registry.upload_bytes(repository, b"{}") == Blob(digest_of(b"{}"), 2)
    assert [call.method for call in fake.calls] == ["POST", "PUT"]
    assert registry.blob_bytes(repository, digest_of(b"{}")) == b"{}"


def test_a_broken_upload_goes_on_where_it_broke(
    fake: FakeRegistry, registry: RegistryClient, repository: Reference
) -> None:
    fake.break_after = [3 * MIB + 5]
    content = Memory()
    assert registry.upload(repository, content) == Blob(DIGEST, len(BODY))
    assert content.opened == [0, 3 * MIB + 5]
    parts = [call.headers["content-range"] for call in fake.asked("PATCH")[1:]]
    assert parts == [f"{3 * MIB + 5}-{19 * MIB + 4}", f"{19 * MIB + 5}-{20 * MIB - 1}"]
    assert len(fake.asked("POST")) == 1


def test_a_part_that_breaks_is_sent_again(
    fake: FakeRegistry, registry: RegistryClient, repository: Reference, waits: list[float]
) -> None:
    fake.break_after = [MIB, 2 * MIB, 0]
    content = Memory()
    assert registry.upload(repository, content).digest == DIGEST
    assert content.opened == [0, MIB]
    assert waits == [0.5, 1.0]
    assert fake.blobs["models/x", DIGEST] == BODY


def test_a_registry_that_breaks_each_time(
    fake: FakeRegistry, registry: RegistryClient, repository: Reference, waits: list[float]
) -> None:
    fake.break_after = [0] * 100
    with pytest.raises(RegistryUnavailableError, match="cannot be reached"):
        registry.upload(repository, Memory())
    assert len(waits) == 3
    assert not fake.sessions


def test_an_upload_that_the_registry_forgot_starts_again(
    fake: FakeRegistry, registry: RegistryClient, repository: Reference
) -> None:
    fake.break_after, fake.forgets = [MIB], True
    content = Memory()
    assert registry.upload(repository, content).digest == DIGEST
    assert content.opened == [0, 0]
    assert len(fake.asked("POST")) == 2


def test_a_registry_that_forgets_each_upload(
    fake: FakeRegistry, registry: RegistryClient, repository: Reference
) -> None:
    fake.break_after, fake.forgets = [MIB] * 100, True
    with pytest.raises(RegistryUnavailableError, match="404"):
        registry.upload(repository, Memory())
    assert len(fake.asked("POST")) == 4


def test_a_proxy_that_takes_no_long_request_gets_parts(
    fake: FakeRegistry, registry: RegistryClient, repository: Reference
) -> None:
    fake.refuse = lambda call: (413, {}) if "chunked" in call.headers.get("transfer-encoding", "") else None
    assert registry.upload(repository, Memory()).digest == DIGEST
    assert [call.size for call in fake.asked("PATCH")] == [0, 16 * MIB, 4 * MIB]


def test_a_proxy_that_takes_no_part_either(
    fake: FakeRegistry, registry: RegistryClient, repository: Reference
) -> None:
    fake.refuse = lambda call: (413, {}) if call.method == "PATCH" else None
    with pytest.raises(RegistryTooLargeError, match=r"413.*client_max_body_size"):
        registry.upload(repository, Memory())
    assert not fake.sessions


def test_credentials_that_are_rotated_in_the_middle(
    fake: FakeRegistry, registry: RegistryClient, repository: Reference
) -> None:
    """The stream is answered 401 and cannot be sent twice; what follows logs in anew."""
    refusals = iter([(401, {"WWW-Authenticate": "Basic"})])
    fake.refuse = lambda call: next(refusals, None) if call.method == "PATCH" else None
    assert registry.upload(repository, Memory()).digest == DIGEST


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
def test_a_registry_that_takes_no_upload(
    fake: FakeRegistry, registry: RegistryClient, repository: Reference, status: int, error: type[Exception]
) -> None:
    fake.refuse = lambda _: (status, {})
    with pytest.raises(error, match=f"answers {status}"):
        registry.upload(repository, Memory())
    assert (fake.blobs, fake.sessions) == ({}, {})


def test_a_digest_that_the_content_does_not_have(
    fake: FakeRegistry, registry: RegistryClient, repository: Reference
) -> None:
    with pytest.raises(BlobDigestMismatchError, match=f"{DIGEST}, not sha256:0"):
        registry.upload(repository, Memory(), digest="sha256:" + "0" * 64)
    assert (fake.blobs, fake.sessions) == ({}, {})


def test_content_that_changes_between_two_readings_is_refused(
    fake: FakeRegistry, registry: RegistryClient, repository: Reference
) -> None:
    fake.break_after = [MIB]
    with pytest.raises(RegistryRefusedError, match="DIGEST_INVALID: provided digest did not match"):
        registry.upload(repository, _Twice(BODY, b"!" * len(BODY)))
    assert fake.blobs == {}


@dataclass
class _Twice:
    first: bytes
    second: bytes
    size: int | None = None
    opened: int = 0

    def open(self, offset: int) -> Iterator[bytes]:
        body = self.second if self.opened else self.first
        self.opened += 1
        yield from Memory(body, chunk=3 * MIB // 2).open(offset)


def test_content_that_fails_is_not_the_registrys_fault(
    fake: FakeRegistry, registry: RegistryClient, repository: Reference
) -> None:
    class Failing:
        size = None

        def open(self, offset: int) -> Iterator[bytes]:
            yield BODY[:MIB]
            raise SourceUnavailableError("the source is down")

    with pytest.raises(SourceUnavailableError, match="the source is down"):
        registry.upload(repository, Failing())
    assert (len(fake.asked("POST")), fake.sessions) == (1, {})


def test_a_commit_whose_answer_is_lost(
    fake: FakeRegistry, registry: RegistryClient, repository: Reference
) -> None:
    """The second try finds no upload, but the blob."""

    def refuse(call: Call) -> tuple[int, dict[str, str]] | None:
        if call.method == "PUT" and not fake.blobs:
            fake.blobs["models/x", DIGEST] = BODY
            fake.sessions.clear()
            return 504, {}
        return None

    fake.refuse = refuse
    assert registry.upload(repository, Memory()).digest == DIGEST


def test_blobs_that_are_there(fake: FakeRegistry, registry: RegistryClient, repository: Reference) -> None:
    registry.upload_bytes(repository, b"x")
    assert registry.has_blob(repository, digest_of(b"x"))
    assert not registry.has_blob(repository, DIGEST)


def test_a_mount(fake: FakeRegistry, registry: RegistryClient, repository: Reference) -> None:
    registry.upload_bytes(repository, b"x")
    other = Reference(fake.address, "models/y")
    assert registry.mount_blob(other, digest_of(b"x"), "models/x")
    assert registry.has_blob(other, digest_of(b"x"))


def test_a_mount_that_is_refused_leaves_no_upload(
    fake: FakeRegistry, registry: RegistryClient, repository: Reference
) -> None:
    assert not registry.mount_blob(repository, DIGEST, "models/elsewhere")
    assert (len(fake.asked("DELETE")), fake.sessions) == (1, {})


@pytest.mark.parametrize("status", [400, 401, 403, 404, 405])
def test_a_mount_that_is_no_success_is_a_refusal(
    fake: FakeRegistry, registry: RegistryClient, repository: Reference, status: int
) -> None:
    fake.refuse = lambda _: (status, {})
    assert not registry.mount_blob(repository, DIGEST, "models/elsewhere")


def test_a_copy_between_registries_goes_on_where_its_source_broke(
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


def test_a_copy_of_what_is_not_there(
    fake: FakeRegistry, registry: RegistryClient, repository: Reference
) -> None:
    with pytest.raises(RegistryNotFoundError, match="models/none"):
        registry.copy_blob(Reference(fake.address, "models/none"), repository, DIGEST, 1)
    assert fake.sessions == {}


MANIFEST = json.dumps({"schemaVersion": 2, "mediaType": OCI_MANIFEST}).encode()
IMAGE = digest_of(MANIFEST)


def _referrer(kind: str) -> bytes:
    subject = {"mediaType": OCI_MANIFEST, "digest": IMAGE, "size": len(MANIFEST)}
    manifest = {"schemaVersion": 2, "artifactType": kind, "subject": subject, "annotations": {"a": "b"}}
    return json.dumps(manifest).encode()


def test_a_manifest(fake: FakeRegistry, registry: RegistryClient, repository: Reference) -> None:
    assert registry.put_manifest(repository, MANIFEST, OCI_MANIFEST, tag="1") == IMAGE
    assert registry.resolve(f"{repository}:1") == IMAGE
    assert registry.put_manifest(repository, MANIFEST, OCI_MANIFEST, tag=None) == IMAGE
    assert [call.path.rpartition("/")[2] for call in fake.asked("PUT")] == ["1", IMAGE]
    assert fake.asked("PUT")[0].headers["content-type"] == OCI_MANIFEST


def test_referrers_where_the_registry_keeps_no_list(
    fake: FakeRegistry, registry: RegistryClient, repository: Reference
) -> None:
    registry.put_manifest(repository, MANIFEST, OCI_MANIFEST, tag="1")
    for kinds in (["sbom", "provenance"], ["sbom"]):
        registry.put_referrers(repository, [_referrer(kind) for kind in kinds], OCI_MANIFEST)
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
    assert registry.referrers(repository, DIGEST) == []


def test_referrers_where_the_registry_keeps_a_list(
    fake: FakeRegistry, registry: RegistryClient, repository: Reference
) -> None:
    fake.tracks_subjects = True
    registry.put_referrers(repository, [_referrer("sbom"), _referrer("provenance")], OCI_MANIFEST)
    assert len(fake.asked("PUT")) == 2


def test_referrers_that_are_pushed_together_are_listed_at_once(
    fake: FakeRegistry, registry: RegistryClient, repository: Reference
) -> None:
    registry.put_referrers(repository, [_referrer(kind) for kind in "abc"], OCI_MANIFEST)
    lists = [call for call in fake.asked("PUT") if call.path.endswith(referrers_tag(IMAGE))]
    assert len(lists) == 1
    assert [item["artifactType"] for item in registry.referrers(repository, IMAGE)] == ["a", "b", "c"]


def test_a_manifest_is_deleted(fake: FakeRegistry, registry: RegistryClient, repository: Reference) -> None:
    registry.put_manifest(repository, MANIFEST, OCI_MANIFEST, tag=None)
    assert registry.delete_manifest(repository, IMAGE)
    assert registry.delete_manifest(repository, IMAGE)
    fake.deletes = False
    assert not registry.delete_manifest(repository, IMAGE)


def test_a_tag_is_taken_away(fake: FakeRegistry, registry: RegistryClient, repository: Reference) -> None:
    registry.put_manifest(repository, MANIFEST, OCI_MANIFEST, tag="1")
    assert registry.delete_tag(repository, "1")
    assert registry.resolve(f"{fake.address}/{repository.repository}:1") is None
    assert registry.manifest_bytes(repository.at(IMAGE)) == MANIFEST
