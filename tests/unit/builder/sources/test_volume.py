"""Files of volumes that other programs may write to."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import Final

import pytest

from modelyard.builder.sources.context import FetchContext
from modelyard.builder.sources.download import FetchedFile
from modelyard.builder.sources.egress_policy import EgressPolicy
from modelyard.builder.sources.fetch import fetch, open_stream
from modelyard.builder.sources.file_stream import StreamedSource
from modelyard.contract.build_pod import BuildVariable
from modelyard.contract.build_request import Source
from modelyard.contract.errors import (
    DigestMismatchError,
    SourceChangedError,
    SourceDeniedError,
    SourceError,
    SourceForbiddenError,
    SourceInvalidError,
    SourceNotFoundError,
    SourceRefusedError,
)
from modelyard.retry import Retry

MIB: Final = 1024 * 1024


class Volume:
    """The mounted claim `models`, and a secret file of the build pod outside of it."""

    def __init__(self, folder: Path, retry: Retry) -> None:
        self.claims = folder / "claims"
        self.root = self.claims / "models"
        self.root.mkdir(parents=True)
        self.secret = folder / "secret"
        self.secret.write_text("secret of the build")
        self._fetched = folder / "fetched"
        self._fetched.mkdir()
        self._context = FetchContext(retry=retry, claims=self.claims)

    def write(self, name: str, content: bytes) -> Path:
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        return path

    def fetch(self, path: str, **source: object) -> FetchedFile:
        parsed = Source.model_validate({"url": f"pvc://models/{path}"} | source)
        return fetch(parsed, self._fetched, name="named", limit_bytes=2**30, context=self._context)

    def stream(self, path: str) -> StreamedSource:
        source = Source(url=f"pvc://models/{path}")
        opened = open_stream(source, name="named", limit_bytes=2**30, context=self._context)
        assert opened is not None
        return opened


@pytest.fixture
def volume(tmp_path: Path, retry: Retry) -> Volume:
    return Volume(tmp_path, retry)


def test_file_is_fetched_and_its_digest_checked(volume: Volume) -> None:
    volume.write("deep/model a.pkl", b"weights")
    digest = "sha256:" + hashlib.sha256(b"weights").hexdigest()
    fetched = volume.fetch("deep/model%20a.pkl", digest=digest)
    assert (fetched.name, fetched.path.read_bytes(), fetched.digest) == ("model a.pkl", b"weights", digest)
    with pytest.raises(DigestMismatchError):
        volume.fetch("deep/model%20a.pkl", digest="sha256:" + "0" * 64)


def test_file_can_be_read_from_an_offset(volume: Volume) -> None:
    content = os.urandom(3 * MIB)
    volume.write("model.pkl", content)
    with volume.stream("model.pkl") as source:
        assert (source.name, source.size) == ("model.pkl", len(content))
        begun = source.open(0)
        assert next(begun) == content[:MIB]
        assert b"".join(source.open(MIB)) == content[MIB:]
        assert source.digest == "sha256:" + hashlib.sha256(content).hexdigest()


def test_link_within_the_volume_is_followed(volume: Volume) -> None:
    volume.write("v3/model.pkl", b"weights")
    (volume.root / "latest").symlink_to("v3")
    assert volume.fetch("latest/model.pkl").path.read_bytes() == b"weights"


@pytest.mark.parametrize(
    "path",
    [
        "../../secret", "%2e%2e/%2E./secret", "deep/../../../secret", "relative", "absolute", "folder/secret",
        "..", "../other/file",
    ],
)  # fmt: skip
def test_path_outside_of_the_volume_is_denied(volume: Volume, path: str) -> None:
    volume.write("deep/model.pkl", b"weights")
    (volume.root / "relative").symlink_to("../../secret")
    (volume.root / "absolute").symlink_to(volume.secret)
    (volume.root / "folder").symlink_to(volume.secret.parent)
    (volume.claims / "other").mkdir()
    (volume.claims / "other/file").write_text("of another claim")
    with pytest.raises(SourceDeniedError, match="leads out of its volume"):
        volume.fetch(path)


def test_link_that_changes_its_target_is_denied(volume: Volume) -> None:
    """The second open finds a file outside of the volume at the same path."""
    volume.write("model.pkl", b"weights")
    link = volume.root / "link"
    link.symlink_to("model.pkl")
    with volume.stream("link") as source:
        assert b"".join(source.open(0)) == b"weights"
        link.unlink()
        link.symlink_to(volume.secret)
        with pytest.raises(SourceDeniedError):
            b"".join(source.open(0))


@pytest.mark.parametrize(
    ("path", "error", "message"),
    [
        ("nothing", SourceNotFoundError, "pvc://models/nothing does not exist"),
        ("model.pkl/inside", SourceNotFoundError, "does not exist"),
        ("folder", SourceRefusedError, "is a folder: create a zip or tar of it, and set unpack"),
        ("", SourceRefusedError, "is a folder"),
        ("pipe", SourceRefusedError, "is a device, a pipe or a socket"),
        ("a%00b", SourceInvalidError, "has a null character in its path"),
        ("loop", SourceRefusedError, "cannot be read: Too many levels of symbolic links"),
        ("n" * 300, SourceRefusedError, "cannot be read"),
    ],
)
def test_unreadable_path_is_an_error(
    volume: Volume, path: str, error: type[SourceError], message: str
) -> None:
    volume.write("model.pkl", b"weights")
    volume.write("folder/model.pkl", b"weights")
    os.mkfifo(volume.root / "pipe")
    (volume.root / "loop").symlink_to("loop")
    with pytest.raises(error, match=message):
        volume.fetch(path)


def test_file_of_another_user_is_forbidden(volume: Volume, monkeypatch: pytest.MonkeyPatch) -> None:
    """The error is simulated, since root, as which tests may run, can read every file."""
    volume.write("model.pkl", b"weights")

    def refuse(*_: object) -> int:
        raise PermissionError

    monkeypatch.setattr(os, "open", refuse)
    with pytest.raises(SourceForbiddenError, match=f"by the user {os.getuid()} of builds"):
        volume.fetch("model.pkl")


def test_claim_that_is_not_mounted_is_denied(volume: Volume, tmp_path: Path) -> None:
    for url in ("pvc://other/file", "pvc://../secret", "pvc:///file", "pvc://[/file"):
        with pytest.raises(SourceDeniedError, match="not mounted"):
            volume.fetch("", url=url)
    with pytest.raises(SourceDeniedError, match="not mounted"):
        fetch(Source(url="pvc://models/x"), tmp_path, name="x", limit_bytes=1, context=FetchContext())


def test_credentials_for_a_volume_are_invalid(volume: Volume) -> None:
    with pytest.raises(SourceInvalidError, match="remove secretRef"):
        volume.fetch("model.pkl", credentials={"token": "t"})


def test_policy_can_deny_volumes(volume: Volume, tmp_path: Path) -> None:
    volume.write("model.pkl", b"weights")
    policy = EgressPolicy.from_environment({BuildVariable.FETCH_SCHEMES: "https"})
    context = FetchContext(claims=volume.claims, policy=policy)
    with pytest.raises(SourceDeniedError, match="'pvc' are not allowed"):
        fetch(Source(url="pvc://models/model.pkl"), tmp_path, name="x", limit_bytes=99, context=context)


def test_file_that_is_written_during_the_download_is_an_error(volume: Volume) -> None:
    """A file with an old beginning and a new end was never registered."""
    path = volume.write("model.pkl", bytes(3 * MIB))
    with volume.stream("model.pkl") as source:
        chunks = source.open(0)
        next(chunks)
        path.write_bytes(b"1" * (3 * MIB))
        with pytest.raises(SourceChangedError):
            list(chunks)
