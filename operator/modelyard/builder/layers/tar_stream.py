"""Tars that are made while they are read: they take neither memory nor disk, however large the files are.

Equal content gives equal bytes on any machine: one order, one owner, one time, two modes, one format.
"""

from __future__ import annotations

import os
import tarfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Final, Protocol

TIME: Final = 315532800
"""1980-01-01: zip files, which drivers may make of what they find, know no earlier one."""
CHUNK_BYTES: Final = 1024 * 1024


class Piece(Protocol):
    """Bytes whose number is known, readable from any of them on."""

    @property
    def size(self) -> int: ...

    def open(self, offset: int) -> Iterator[bytes]: ...


Content = Path | bytes | Piece
"""A file or a whole folder of the disk, or the content of one file."""


class Tar:
    """Pieces one after another, as a `Piece` again."""

    def __init__(self, pieces: Iterable[Piece]) -> None:
        self._pieces: Sequence[Piece] = tuple(pieces)
        self.size = sum(piece.size for piece in self._pieces)

    def open(self, offset: int = 0) -> Iterator[bytes]:
        """Chunks of about CHUNK_BYTES, large ones as they come."""
        return _merged(self._chunks(offset))

    def _chunks(self, offset: int) -> Iterator[bytes]:
        for piece in self._pieces:
            if offset >= piece.size:
                offset -= piece.size
                continue
            yield from piece.open(offset)
            offset = 0


def tar_of(content: Mapping[str, Content]) -> Tar:
    """The tar of what is to be at each path, with all folders above: nobody else may give them a mode."""
    entries: dict[PurePosixPath, Content | None] = {}
    for name, found in content.items():
        entries |= _entries(PurePosixPath(name.lstrip("/")), found)
    for path in tuple(entries):
        entries |= {parent: None for parent in path.parents[:-1] if parent not in entries}
    pieces = [piece for path in sorted(entries) for piece in _pieces(str(path), entries[path])]
    return Tar((*pieces, _Memory(bytes(2 * tarfile.BLOCKSIZE))))


def _entries(path: PurePosixPath, content: Content) -> dict[PurePosixPath, Content | None]:
    """The entries for one path; None stands for a folder."""
    if not isinstance(content, Path) or content.is_symlink() or not content.is_dir():
        return {path: content}
    found: dict[PurePosixPath, Content | None] = {path: None}
    for child in content.iterdir():
        found |= _entries(path / child.name, child)
    return found


def _pieces(name: str, content: Content | None) -> Iterator[Piece]:
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
        piece = _Memory(content) if isinstance(content, bytes) else content
        yield _header(name, piece.size, tarfile.REGTYPE)
        yield from _padded(piece)


def _header(name: str, size: int, kind: bytes, *, executable: bool = False, target: str = "") -> Piece:
    entry = tarfile.TarInfo(name)
    entry.size = size
    entry.type = kind
    entry.mode = 0o755 if executable else 0o644
    entry.mtime = TIME
    entry.linkname = target
    return _Memory(entry.tobuf(tarfile.GNU_FORMAT, "utf-8", "surrogateescape"))


def _padded(piece: Piece) -> Iterator[Piece]:
    yield piece
    yield _Memory(bytes(-piece.size % tarfile.BLOCKSIZE))


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


def _merged(chunks: Iterator[bytes]) -> Iterator[bytes]:
    """Small chunks together: a folder of many files is not sent in thousands of writes."""
    small = bytearray()
    for chunk in chunks:
        if len(chunk) < CHUNK_BYTES // 4:
            small += chunk
        else:
            if small:
                yield bytes(small)
                small.clear()
            yield chunk
        if len(small) >= CHUNK_BYTES:
            yield bytes(small)
            small.clear()
    if small:
        yield bytes(small)
