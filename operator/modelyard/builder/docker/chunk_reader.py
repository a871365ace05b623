"""Reading an iterator of byte chunks as a binary file."""

from __future__ import annotations

import io
from collections.abc import Iterator
from typing import TYPE_CHECKING, BinaryIO, Final

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

_BUFFER_BYTES: Final = 256 * 1024


def open_chunks(chunks: Iterator[bytes]) -> BinaryIO:
    """Return a readable file with the bytes of all chunks; it cannot seek."""
    return io.BufferedReader(_RawChunks(chunks), _BUFFER_BYTES)


class _RawChunks(io.RawIOBase):
    """An unbuffered file over an iterator of chunks."""

    def __init__(self, chunks: Iterator[bytes]) -> None:
        self._chunks = chunks
        self._unread = b""

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: WriteableBuffer) -> int:
        """Copy bytes of the current chunk into the buffer and return their number, 0 at the end."""
        target = memoryview(buffer)
        while not self._unread:
            chunk = next(self._chunks, None)
            if chunk is None:
                return 0
            self._unread = chunk
        size = min(len(target), len(self._unread))
        target[:size] = self._unread[:size]
        self._unread = self._unread[size:]
        return size
