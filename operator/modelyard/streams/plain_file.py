"""A file of the disk that nothing else writes while it is read."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Final

_CHUNK_BYTES: Final = 1024 * 1024


class PlainFile:
    """A SizedReadableAt over a file."""

    def __init__(self, path: Path) -> None:
        """Open nothing yet. Raises OSError if there is no such file."""
        self._path = path
        self.size: int = path.stat().st_size

    def open(self, offset: int) -> Iterator[bytes]:
        """Yield the bytes from an offset. Raises OSError."""
        with self._path.open("rb") as file:
            file.seek(offset)
            while chunk := file.read(_CHUNK_BYTES):
                yield chunk
