"""Tar archives that are generated while they are read."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from modelyard.builder.layers.tar_stream import (
    CHUNK_BYTES,
    TarStream,
    tar_of,
)


class RemoteContent:
    """The content of a file that is not on the disk."""

    def __init__(self, data: bytes) -> None:
        self.data = data

    @property
    def size(self) -> int:
        return len(self.data)

    def open(self, offset: int) -> Iterator[bytes]:
        for start in range(offset, len(self.data), 100):
            yield self.data[start : start + 100]


def _tree(folder: Path) -> Path:
    (folder / "b").mkdir(parents=True)
    (folder / "b/file").write_bytes(b"x" * 513)
    (folder / "b-c").write_bytes(b"")
    (folder / "run").write_bytes(b"1")
    (folder / "run").chmod(0o700)
    (folder / "link").symlink_to("b/file")
    return folder


def _bytes(tar: TarStream, offset: int = 0) -> bytes:
    return b"".join(tar.open(offset))


def _entries(tar: TarStream) -> dict[str, tarfile.TarInfo]:
    with tarfile.open(fileobj=io.BytesIO(_bytes(tar))) as archive:
        return {entry.name: entry for entry in archive}


def test_tar_contains_files_folders_bytes_and_remote_content(tmp_path: Path) -> None:
    tree = _tree(tmp_path / "tree")
    tar = tar_of(
        {"Dockerfile": b"FROM x", "models/0": tree, "é" * 80: tree / "run", "z": RemoteContent(b"z" * 700)}
    )
    entries = _entries(tar)
    with tarfile.open(fileobj=io.BytesIO(_bytes(tar))) as archive:
        found = {name: file.read() for name in entries if (file := archive.extractfile(name))}
    assert list(entries) == [
        "Dockerfile",
        "models",
        "models/0",
        "models/0/b",
        "models/0/b/file",
        "models/0/b-c",
        "models/0/link",
        "models/0/run",
        "z",
        "é" * 80,
    ]
    assert found == {
        "Dockerfile": b"FROM x",
        "models/0/b/file": b"x" * 513,
        "models/0/b-c": b"",
        "models/0/link": b"x" * 513,
        "models/0/run": b"1",
        "z": b"z" * 700,
        "é" * 80: b"1",
    }
    assert entries["models/0/link"].linkname == "b/file"
    assert {(entry.uid, entry.gid, entry.mtime) for entry in entries.values()} == {(0, 0, 315532800)}


def test_parent_folders_have_entries_that_everyone_can_read(tmp_path: Path) -> None:
    tmp_path.chmod(0o700)
    modes = {name: oct(entry.mode) for name, entry in _entries(tar_of({"var/a/b": tmp_path})).items()}
    assert modes == {"var": "0o755", "var/a": "0o755", "var/a/b": "0o755"}


def test_mode_depends_on_the_executable_bit_only(tmp_path: Path) -> None:
    entries = _entries(tar_of({"x": _tree(tmp_path / "tree")}))
    assert [oct(entries[name].mode) for name in ("x/b/file", "x/run")] == ["0o644", "0o755"]


def test_equal_content_gives_equal_bytes(tmp_path: Path) -> None:
    one, two = _tree(tmp_path / "one"), _tree(tmp_path / "two")
    (two / "b-c").touch()
    (two / "b/file").chmod(0o600)
    assert _bytes(tar_of({"x": one, "y": b"1"})) == _bytes(tar_of({"y": b"1", "x": two}))


def test_tar_can_be_read_from_any_offset(tmp_path: Path) -> None:
    tar = tar_of({"x": _tree(tmp_path / "tree"), "y": RemoteContent(b"y" * 1000)})
    whole = _bytes(tar)
    assert tar.size == len(whole)
    assert all(_bytes(tar, offset) == whole[offset:] for offset in range(0, len(whole) + 1, 97))


def test_large_file_is_read_in_chunks(tmp_path: Path) -> None:
    (tmp_path / "large").write_bytes(bytes(5 * CHUNK_BYTES))
    assert max(map(len, tar_of({"large": tmp_path / "large"}).open())) == CHUNK_BYTES


def test_small_files_are_joined_to_large_chunks(tmp_path: Path) -> None:
    for number in range(2000):
        (tmp_path / str(number)).write_bytes(b"x")
    chunks = [len(chunk) for chunk in tar_of({"x": tmp_path}).open()]
    assert min(chunks[:-1]) >= CHUNK_BYTES


@pytest.mark.parametrize("size", [0, 1, 511, 512, 513])
def test_entries_are_padded_to_blocks(size: int) -> None:
    assert tar_of({"x": bytes(size)}).size % 512 == 0
