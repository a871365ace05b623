"""Tar archives that are generated while they are read, without memory or disk for the content of the files.

Equal content gives equal bytes on every machine: the order of entries, owner, time, modes and format are
fixed.
"""

from __future__ import annotations

import os
import tarfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Final

from modelyard.streams.readable import SizedReadableAt

FILE_TIME: Final = 315532800
"""1980-01-01, the modification time of all files.

A driver may make zip files of them, whose format has no earlier time.
"""
CHUNK_BYTES: Final = 1024 * 1024

EntryContent = Path | bytes | SizedReadableAt
"""A file or a whole folder of the disk, or the content of one file."""


class TarStream:
    """A tar archive as a SizedReadableAt: its parts one after another."""

    def __init__(self, parts: Iterable[SizedReadableAt]) -> None:
        self._parts: Sequence[SizedReadableAt] = tuple(parts)
        self.size = sum(part.size for part in self._parts)

    def open(self, offset: int = 0) -> Iterator[bytes]:
        """Return the bytes from `offset` on, in chunks of about CHUNK_BYTES or larger."""
        return _join_small(self._chunks(offset))

    def _chunks(self, offset: int) -> Iterator[bytes]:
        for part in self._parts:
            if offset >= part.size:
                offset -= part.size
                continue
            yield from part.open(offset)
            offset = 0


def tar_of(content: Mapping[str, EntryContent]) -> TarStream:
    """Return the tar with a content at each path.

    The tar has an entry for each parent folder too, so that the folders have the same mode in every image.
    """
    entries: dict[PurePosixPath, EntryContent | None] = {}
    for name, item in content.items():
        entries |= _entries(PurePosixPath(name.lstrip("/")), item)
    for path in tuple(entries):
        entries |= {parent: None for parent in path.parents[:-1] if parent not in entries}
    parts = [part for path in sorted(entries) for part in _parts(str(path), entries[path])]
    end_of_archive = _Memory(bytes(2 * tarfile.BLOCKSIZE))
    return TarStream((*parts, end_of_archive))


def _entries(path: PurePosixPath, content: EntryContent) -> dict[PurePosixPath, EntryContent | None]:
    """Return the entries for a path and everything below. None stands for a folder."""
    if not isinstance(content, Path) or content.is_symlink() or not content.is_dir():
        return {path: content}
    entries: dict[PurePosixPath, EntryContent | None] = {path: None}
    for child in content.iterdir():
        entries |= _entries(path / child.name, child)
    return entries


def _parts(name: str, content: EntryContent | None) -> Iterator[SizedReadableAt]:
    if content is None:
        yield _header(name, 0, tarfile.DIRTYPE, executable=True)
    elif isinstance(content, Path) and content.is_symlink():
        yield _header(name, 0, tarfile.SYMTYPE, target=str(content.readlink()))
    elif isinstance(content, Path):
        state = content.stat()
        executable = bool(state.st_mode & 0o111)
        yield _header(name, state.st_size, tarfile.REGTYPE, executable=executable)
        yield from _padded(_File(content, state.st_size))
    else:
        data = _Memory(content) if isinstance(content, bytes) else content
        yield _header(name, data.size, tarfile.REGTYPE)
        yield from _padded(data)


def _header(
    name: str, size: int, entry_type: bytes, *, executable: bool = False, target: str = ""
) -> SizedReadableAt:
    entry = tarfile.TarInfo(name)
    entry.size = size
    entry.type = entry_type
    entry.mode = 0o755 if executable else 0o644
    entry.mtime = FILE_TIME
    entry.linkname = target
    return _Memory(entry.tobuf(tarfile.GNU_FORMAT, "utf-8", "surrogateescape"))


def _padded(data: SizedReadableAt) -> Iterator[SizedReadableAt]:
    yield data
    yield _Memory(bytes(-data.size % tarfile.BLOCKSIZE))


@dataclass(frozen=True)
class _Memory:
    data: bytes

    @property
    def size(self) -> int:
        return len(self.data)

    def open(self, offset: int) -> Iterator[bytes]:
        yield self.data[offset:]


@dataclass(frozen=True)
class _File:
    path: Path
    size: int

    def open(self, offset: int) -> Iterator[bytes]:
        with self.path.open("rb", buffering=0) as file:
            file.seek(offset, os.SEEK_SET)
            while chunk := file.read(CHUNK_BYTES):
                yield chunk


def _join_small(chunks: Iterator[bytes]) -> Iterator[bytes]:
    """Yield small chunks joined, so that a folder of many files is not sent in thousands of writes."""
    buffer = bytearray()
    for chunk in chunks:
        if len(chunk) < CHUNK_BYTES // 4:
            buffer += chunk
        else:
            if buffer:
                yield bytes(buffer)
                buffer.clear()
            yield chunk
        if len(buffer) >= CHUNK_BYTES:
            yield bytes(buffer)
            buffer.clear()
    if buffer:
        yield bytes(buffer)
