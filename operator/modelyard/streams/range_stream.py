"""Resuming the download of a file: https://www.rfc-editor.org/rfc/rfc9110#name-range-requests."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import httpx

_CHUNK_BYTES: Final = 1024 * 1024
_UNBUFFERED_BYTES: Final = _CHUNK_BYTES // 4  # pieces of at least this size are passed on without a copy
_LENGTH: Final = re.compile(r"[0-9]{1,18}")
"""A number of bytes below 2^63. Python refuses to parse a number of 4300 digits."""
_CONTENT_RANGE: Final = re.compile(rf"bytes ({_LENGTH.pattern})-{_LENGTH.pattern}/({_LENGTH.pattern}|\*)")


class WrongRangeError(Exception):
    """The server sent another range of the file than requested, or an invalid length."""


@dataclass(frozen=True)
class RangeStream:
    """The response of one attempt to read a file, with its bytes unread."""

    start: int
    """Offset of the first chunk in the file: the requested offset, or 0 if the server ignored the range."""
    size: int | None
    """Bytes of the whole file, None if the server does not report the size."""
    chunks: Iterator[bytes]

    def rest(self, offset: int) -> Iterator[bytes]:
        """Yield the bytes of the file from `offset` on, and drop the bytes before."""
        skip = offset - self.start
        for chunk in self.chunks:
            if skip < len(chunk):
                yield chunk[skip:] if skip else chunk
            skip = max(0, skip - len(chunk))


def range_header(offset: int, size: int | None = None) -> dict[str, str]:
    """Return the headers that request the bytes from `offset` on, none for an offset of 0.

    Some servers require the last byte too: `size` is the number of bytes of the file, if known.
    """
    end = "" if size is None else size - 1
    return {"Range": f"bytes={offset}-{end}"} if offset else {}


def range_stream(response: httpx.Response, offset: int) -> RangeStream:
    """Return the stream of a response with status 200 or 206 to a request from `offset` on.

    Raises WrongRangeError if a 206 has another range, and for a Content-Length that is not a number of bytes.
    Reading the chunks raises httpx.TransportError.
    """
    chunks = _chunks(response)
    if response.status_code != 206:
        length = response.headers.get("content-length")
        if length is None:
            return RangeStream(0, None, chunks)
        if not _LENGTH.fullmatch(length):
            raise WrongRangeError("the server sent an invalid Content-Length")
        return RangeStream(0, int(length), chunks)
    found = _CONTENT_RANGE.fullmatch(response.headers.get("content-range", ""))
    if not found or int(found[1]) != offset:
        raise WrongRangeError("the server sent another range of the file than requested")
    return RangeStream(offset, int(found[2]) if found[2] != "*" else None, chunks)


def _chunks(response: httpx.Response) -> Iterator[bytes]:
    """Yield large pieces as they arrive, and small pieces joined.

    When the connection breaks, the joined pieces are yielded before the error, so that a retry resumes after
    them.
    """
    buffer = bytearray()
    try:
        for piece in response.iter_raw():
            if len(piece) >= _UNBUFFERED_BYTES and not buffer:
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
