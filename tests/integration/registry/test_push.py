"""Pushes to real registries, with breaks and restarts on the way."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import random
import tarfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Final

import pytest
from tests.integration.registry.conftest import KINDS, RunningRegistry, Start, crane, stored_blob
from tests.support.breaking_proxy import BreakingProxy

from modelyard.oci import (
    Blob,
    RegistryClient,
)
from modelyard.oci.errors import (
    BlobDigestMismatchError,
    RegistryNotFoundError,
    RegistryUnavailableError,
)
from modelyard.oci.media_types import OCI_MANIFEST
from modelyard.oci.reference import Reference

MIB: Final = 1024 * 1024
BODY: Final = random.Random(1).randbytes(40 * MIB)
CONFIG: Final = json.dumps({"architecture": "amd64", "os": "linux", "rootfs": {"type": "layers"}}).encode()


def _digest(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


@dataclass
class Content:
    """A ReadableAt that calls `action` before the first read of the chunk at the offset `action_at`."""

    body: bytes = BODY
    action_at: int = -1
    action: Callable[[], None] = lambda: None
    size: int | None = None
    offsets: list[int] = field(default_factory=list)

    def open(self, offset: int) -> Iterator[bytes]:
        self.offsets.append(offset)
        for start in range(offset, len(self.body), MIB):
            if self.action_at in range(start, start + MIB) and len(self.offsets) == 1:
                self.action()
            yield self.body[start : start + MIB]


def test_uploaded_blobs_are_stored(running: RunningRegistry) -> None:
    repository = running.repository("models/a")
    with running.client() as registry:
        assert registry.upload(repository, Content()) == Blob(_digest(BODY), len(BODY))
        assert registry.upload(repository, Content(b"")) == Blob(_digest(b""), 0)
        assert registry.upload_bytes(repository, CONFIG) == Blob(_digest(CONFIG), len(CONFIG))
        assert registry.upload_bytes(repository, CONFIG) == Blob(_digest(CONFIG), len(CONFIG))
        assert registry.has_blob(repository, _digest(BODY))
        assert not registry.has_blob(repository, _digest(b"elsewhere"))
        assert registry.blob_bytes(repository, _digest(CONFIG)) == CONFIG
    assert stored_blob(running, repository, _digest(BODY)) == BODY


def test_mount_succeeds_if_the_registry_supports_it(running: RunningRegistry) -> None:
    source, target = running.repository("models/a"), running.repository("models/b")
    with running.client() as registry:
        registry.upload_bytes(source, CONFIG)
        assert registry.mount_blob(target, _digest(CONFIG), source.repository) == running.supports_mounts
        assert not registry.mount_blob(target, _digest(BODY), source.repository)
        assert not registry.mount_blob(target, _digest(CONFIG), "models/none")


def test_upload_and_copy_are_resumed_after_each_break(proxied: tuple[RunningRegistry, BreakingProxy]) -> None:
    running, proxy = proxied
    repository = running.repository("models/a")
    proxy.breaks = [10 * MIB, 7 * MIB, 100_000, 3 * MIB]
    content = Content()
    with running.client() as registry:
        assert registry.upload(repository, content).digest == _digest(BODY)
        proxy.breaks = [30 * MIB, 1000]
        registry.copy_blob(repository, running.repository("models/b"), _digest(BODY), len(BODY))
    assert proxy.broken == 6
    assert (content.offsets[1] > 0) == running.resumes_uploads
    assert stored_blob(running, running.repository("models/b"), _digest(BODY)) == BODY


def test_upload_continues_after_a_restart_of_the_registry(running: RunningRegistry) -> None:
    def action() -> None:
        running.server.kill()
        running.server.start()

    repository = running.repository("models/a")
    content = Content(action_at=25 * MIB, action=action)
    with running.client() as registry:
        assert registry.upload(repository, content).digest == _digest(BODY)
        assert len(content.offsets) == 2
    assert (content.offsets[1] > 0) == running.resumes_uploads


def test_upload_fails_if_the_registry_stays_down(running: RunningRegistry) -> None:
    content = Content(action_at=5 * MIB, action=running.server.kill)
    with running.client() as registry, pytest.raises(RegistryUnavailableError, match="cannot be reached"):
        registry.upload(running.repository("models/a"), content)


def test_failed_upload_is_cancelled(start: Start) -> None:
    running = start("token")
    with running.client() as registry, pytest.raises(BlobDigestMismatchError):
        registry.upload(running.repository("models/a"), Content(), digest=_digest(b"other"))
    (upload,) = running.config.parent.glob("data/**/_uploads/*")
    assert not (upload / "data").exists()


def _layer(name: str, content: bytes) -> bytes:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w") as tar:
        entry = tarfile.TarInfo(name)
        entry.size = len(content)
        tar.addfile(entry, io.BytesIO(content))
    return file.getvalue()


def _image(registry: RegistryClient, repository: Reference, tag: str) -> tuple[bytes, str]:
    """Push an image of one layer, and return its manifest and its digest."""
    tar = _layer("model", BODY[:MIB])
    layer = registry.upload(repository, Content(gzip.compress(tar, mtime=0)))
    root = {"type": "layers", "diff_ids": [_digest(tar)]}
    config = registry.upload_bytes(
        repository, json.dumps({"architecture": "amd64", "os": "linux", "rootfs": root}).encode()
    )
    manifest = {
        "schemaVersion": 2,
        "mediaType": OCI_MANIFEST,
        "config": {"mediaType": "application/vnd.oci.image.config.v1+json", **vars(config)},
        "layers": [{"mediaType": "application/vnd.oci.image.layer.v1.tar+gzip", **vars(layer)}],
    }
    body = json.dumps(manifest).encode()
    return body, registry.put_manifest(repository, body, OCI_MANIFEST, tag=tag)


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "token"])
def test_image_is_valid_for_another_client(start: Start, kind: str) -> None:
    running = start(kind)
    repository = running.repository("models/image")
    with running.client() as registry:
        _, digest = _image(registry, repository, "1")
        assert registry.resolve(f"{repository}:1") == digest
    assert crane(running, "digest", f"{repository}:1").decode().strip() == digest
    crane(running, "validate", "--remote", f"{repository}:1")


def test_referrers_tags_and_repositories_are_listed(running: RunningRegistry) -> None:
    repository = running.repository("models/image")
    with running.client() as registry:
        body, digest = _image(registry, repository, "1")
        registry.upload_bytes(repository, b"{}")
        types = ("application/vnd.cyclonedx+json", "application/vnd.in-toto+json")
        bodies = [_referrer(name, digest, len(body)) for name in types]
        registry.put_referrers(repository, bodies, OCI_MANIFEST)
        assert {item["artifactType"] for item in registry.referrers(repository, digest)} == set(types)
        (found,) = registry.referrers(repository, digest, types[0])
        manifest, _ = registry.manifest(repository.at(found["digest"]))
        assert manifest["subject"]["digest"] == digest
        assert registry.referrers(repository, _digest(b"none")) == []
        assert "1" in registry.tags(repository)
        assert list(registry.tags(running.repository("models/none"))) == []
        assert list(registry.repositories(running.host)) == ["models/image"]


def _referrer(artifact_type: str, digest: str, size: int) -> bytes:
    empty = {"mediaType": "application/vnd.oci.empty.v1+json", "digest": _digest(b"{}"), "size": 2}
    manifest = {
        "schemaVersion": 2,
        "mediaType": OCI_MANIFEST,
        "artifactType": artifact_type,
        "config": empty,
        "layers": [empty],
        "subject": {"mediaType": OCI_MANIFEST, "digest": digest, "size": size},
    }
    return json.dumps(manifest).encode()


def test_all_pages_of_a_long_list_are_read(start: Start) -> None:
    running = start("anonymous", catalog={"maxentries": 2})
    names = [f"models/{name}" for name in "abcde"]
    with running.client() as registry:
        for name in names:
            _image(registry, running.repository(name), "1")
        assert list(registry.repositories(running.host)) == names


def test_deleted_manifest_is_gone(running: RunningRegistry) -> None:
    repository = running.repository("models/image")
    with running.client() as registry:
        _, digest = _image(registry, repository, "1")
        assert registry.delete_manifest(repository, digest)
        assert registry.delete_manifest(repository, digest)
        with pytest.raises(RegistryNotFoundError):
            registry.manifest(repository.at(digest))


def test_disabled_deletion_is_reported(start: Start) -> None:
    running = start("anonymous", storage={"delete": {"enabled": False}})
    with running.client() as registry:
        _, digest = _image(registry, running.repository("models/image"), "1")
        assert not registry.delete_manifest(running.repository("models/image"), digest)


def test_blob_is_copied_between_registries(start: Start) -> None:
    source, target = start("token"), start("crane")
    blob = Blob(_digest(BODY), len(BODY))
    with source.client() as registry:
        registry.upload(source.repository("base"), Content())
        registry.copy_blob(source.repository("base"), target.repository("models/a"), blob.digest, blob.size)
        assert registry.has_blob(target.repository("models/a"), blob.digest)
