"""A tar made while it is sent: a build context takes no room on the disk, however large the models are.

Equal content gives equal bytes: sorted, owned by root, with two modes and one time.
"""

from __future__ import annotations

import tarfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

_CHUNK_BYTES: Final = 1024 * 1024
_TIME: Final = (
    315532800  # 1980-01-01: zip files, which drivers may make of what they find, know no earlier one
)


def tar_stream(entries: Mapping[str, Path | bytes]) -> Iterator[bytes]:
    """The tar of files, whole folders and bytes, by their path in it."""
    for name, content in sorted(entries.items()):
        if isinstance(content, bytes):
            yield _header(name, len(content), tarfile.REGTYPE)
            yield _padded(content)
        else:
            yield from _file_or_folder(name, content)
    yield bytes(2 * tarfile.BLOCKSIZE)


def _file_or_folder(name: str, path: Path) -> Iterator[bytes]:
    if path.is_symlink():
        yield _header(name, 0, tarfile.SYMTYPE, target=str(path.readlink()))
    elif path.is_dir():
        yield _header(name, 0, tarfile.DIRTYPE, executable=True)
        for child in sorted(path.iterdir()):
            yield from _file_or_folder(f"{name}/{child.name}", child)
    else:
        state = path.stat()
        yield _header(name, state.st_size, tarfile.REGTYPE, executable=bool(state.st_mode & 0o111))
        with path.open("rb") as file:
            while chunk := file.read(_CHUNK_BYTES):
                yield chunk
        yield bytes(-state.st_size % tarfile.BLOCKSIZE)


def _header(name: str, size: int, kind: bytes, *, executable: bool = False, target: str = "") -> bytes:
    entry = tarfile.TarInfo(name)
    entry.size = size
    entry.type = kind
    entry.mode = 0o755 if executable else 0o644
    entry.mtime = _TIME
    entry.linkname = target
    return entry.tobuf(tarfile.GNU_FORMAT, "utf-8", "surrogateescape")


def _padded(content: bytes) -> bytes:
    return content + bytes(-len(content) % tarfile.BLOCKSIZE)
