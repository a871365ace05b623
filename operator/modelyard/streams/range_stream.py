"""Reading a file on where it broke off: https://www.rfc-editor.org/rfc/rfc9110#name-range-requests."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import httpx

_CHUNK_BYTES: Final = 1024 * 1024
_ENOUGH_BYTES: Final = _CHUNK_BYTES // 4  # to be passed on without a copy
_CONTENT_RANGE: Final = re.compile(r"bytes (\d+)-\d+/(\d+|\*)")


class WrongRangeError(Exception):
    """The server sent another range of the file than was asked for."""


@dataclass(frozen=True)
class RangeStream:
    """One try at a file, its bytes still unread."""

    start: int
    """Where in the file the chunks begin: at what was asked for, or at 0."""
    size: int | None
    """Of the whole file, if the server says so."""
    chunks: Iterator[bytes]

    def rest(self, offset: int) -> Iterator[bytes]:
        """The bytes from `offset` on, what comes before is dropped."""
        skip = offset - self.start
        for chunk in self.chunks:
            if skip < len(chunk):
                yield chunk[skip:] if skip else chunk
            skip = max(0, skip - len(chunk))


def range_header(offset: int, size: int | None = None) -> dict[str, str]:
    """What to ask with, for the bytes from `offset` on; some servers want the last one named, too."""
    end = "" if size is None else size - 1
    return {"Range": f"bytes={offset}-{end}"} if offset else {}


def range_stream(response: httpx.Response, offset: int) -> RangeStream:
    """An answer of 200 or 206; raises WrongRangeError. Its chunks raise httpx.TransportError."""
    chunks = _chunks(response)
    if response.status_code != 206:
        length = response.headers.get("content-length", "")
        return RangeStream(0, int(length) if length.isascii() and length.isdigit() else None, chunks)
    found = _CONTENT_RANGE.match(response.headers.get("content-range", ""))
    if not found or int(found[1]) != offset:
        raise WrongRangeError("the server sent another range of the file than was asked for")
    return RangeStream(offset, int(found[2]) if found[2] != "*" else None, chunks)


def _chunks(response: httpx.Response) -> Iterator[bytes]:
    """Large ones as they come, small ones together; what came before a break is not asked for again."""
    buffer = bytearray()
    try:
        for piece in response.iter_raw():
            if len(piece) >= _ENOUGH_BYTES and not buffer:
                yield piece
                continue
            buffer += piece
            if len(buffer) >= _CHUNK_BYTES:
                yield bytes(buffer)
                buffer.clear()
    except httpx.TransportError:
        if buffer:
            yield bytes(buffer)
        raise
    if buffer:
        yield bytes(buffer)
