"""Tar archives that are generated while they are read, without memory or disk for the content of the files.

Equal content gives equal bytes on every machine: the order of entries, owner, time, modes and format are
fixed.
"""

from __future__ import annotations

import tarfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Final

from modelyard.builder.layers.disk_folder import DiskFile, DiskFolder, DiskLink
from modelyard.streams.readable import SizedReadableAt

FILE_TIME: Final = 315532800
"""1980-01-01, the modification time of all files.

A driver may make zip files of them, whose format has no earlier time.
"""
CHUNK_BYTES: Final = 1024 * 1024

EntryContent = Path | DiskFolder | bytes | SizedReadableAt
"""A file or a whole folder of the disk, or the content of one file."""
_Entry = DiskFile | DiskLink | bytes | SizedReadableAt | None
"""One entry of a tar; None for a folder."""


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
    entries: dict[PurePosixPath, _Entry] = {}
    for name, item in content.items():
        entries |= _entries(PurePosixPath(name.lstrip("/")), item)
    for path in tuple(entries):
        entries |= {parent: None for parent in path.parents[:-1] if parent not in entries}
    parts = [part for path in sorted(entries) for part in _parts(str(path), entries[path])]
    end_of_archive = _Memory(bytes(2 * tarfile.BLOCKSIZE))
    return TarStream((*parts, end_of_archive))


def _entries(path: PurePosixPath, content: EntryContent) -> dict[PurePosixPath, _Entry]:
    """Return the entries for a path and everything below."""
    if isinstance(content, Path):
        if content.is_dir() and not content.is_symlink():
            content = DiskFolder(content)
        else:
            return {path: DiskFolder(content.parent).entry(content.name)}
    if not isinstance(content, DiskFolder):
        return {path: content}
    entries: dict[PurePosixPath, _Entry] = {path: None}
    for below, entry in content.entries():
        entries[path / below] = entry
    return entries


def _parts(name: str, entry: _Entry) -> Iterator[SizedReadableAt]:
    if entry is None:
        yield _header(name, 0, tarfile.DIRTYPE, executable=True)
    elif isinstance(entry, DiskLink):
        yield _header(name, 0, tarfile.SYMTYPE, target=entry.target)
    else:
        data = _Memory(entry) if isinstance(entry, bytes) else entry
        executable = isinstance(entry, DiskFile) and entry.executable
        yield _header(name, data.size, tarfile.REGTYPE, executable=executable)
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
