"""Content codings of HTTP (RFC 9110 section 8.4): the headers that name them, and the unpacking of bodies."""

import re
import zlib
from collections import deque
from collections.abc import Iterable
from functools import lru_cache
from typing import Final

from modelyard.scoring.front import errors
from modelyard.scoring.front.messages import HttpRequest, HttpResponse

_CODINGS: Final = {b"gzip": b"gzip", b"x-gzip": b"gzip", b"deflate": b"deflate"}

_INPUT_BYTES: Final = 64 * 1024
"""Bytes of input for one call of zlib, which copies the rest of its input at the end of each gzip member."""

MAX_MEMBERS: Final = 10_000
"""Gzip members of one body. BGZF has one for 64 KB: this is six times as many as a body of 100 MiB needs."""

_GZIP_WINDOW: Final = 16 + zlib.MAX_WBITS
_ZLIB_WINDOW: Final = zlib.MAX_WBITS
_RAW_WINDOW: Final = -zlib.MAX_WBITS

_MAX_ACCEPT_BYTES: Final = 256
"""A longer Accept-Encoding header gets no coding: browsers send 23 bytes."""

_ACCEPT_ITEM: Final = re.compile(rb"\s*([!#$%&'*+.^_`|~0-9A-Za-z-]+)\s*(?:;\s*[qQ]=(\d(?:\.\d{0,3})?)\s*)?")


class CodingError(ValueError):
    """A body is not what its Content-Encoding says; the message is for the client."""


def read_coding(request: HttpRequest) -> HttpResponse | None:
    """Set the coding of a request's body from its headers. Return a refusal if the coding is unsupported."""
    header = request.headers.get(b"content-encoding")
    if header is None:
        return None
    names = [name.strip().lower() for name in header.split(b",")]
    names = [name for name in names if name not in (b"", b"identity")]
    if not names:
        return None
    coding = _CODINGS.get(names[0]) if len(names) == 1 else None
    if coding is None:
        text = header[:64].decode("latin-1")
        return errors.CODING.response(coding=text)
    request.coding = coding
    return None


def accepts_gzip(header: bytes | None) -> bool:
    """Return True if a client that sends this Accept-Encoding prefers gzip to an unpacked body."""
    return header is not None and len(header) <= _MAX_ACCEPT_BYTES and _accepts_gzip(header)


@lru_cache(64)
def _accepts_gzip(header: bytes) -> bool:
    weights: dict[bytes, float] = {}
    for item in header.split(b","):
        match = _ACCEPT_ITEM.fullmatch(item)
        if match is not None:
            name = match[1].lower()
            weights[_CODINGS.get(name, name)] = float(match[2] or 1)
    gzip = weights.get(b"gzip", weights.get(b"*", 0.0))
    return gzip > 0 and gzip >= weights.get(b"identity", 0.0)


class Unpacker:
    """The bytes of a packed body, unpacked in steps, so that each step is bounded in time and memory."""

    def __init__(self, coding: bytes, chunks: Iterable[bytes]) -> None:
        self._coding = coding
        self._chunks = deque(chunks)
        self._input = b""
        self._inflater: zlib._Decompress | None = None
        self._members = 0
        self._is_pending = False
        """zlib has more output of the input that it has consumed."""

    @property
    def has_ended(self) -> bool:
        """Return True if there is no more input, and no more output of earlier input."""
        return not (self._chunks or self._input or self._is_pending)

    @property
    def packed_bytes(self) -> int:
        """Return the bytes of the packed body that are still in memory."""
        return len(self._input) + sum(map(len, self._chunks))

    def read(self, most: int) -> bytes:
        """Return the next bytes, at most `most`, and b"" at the end.

        Raises CodingError if the body is malformed or ends early.
        """
        while self._is_pending or self._fill():
            if self._inflater is None:
                self._begin_member()
                continue
            try:
                output = self._inflater.decompress(self._input, most)
            except zlib.error:
                raise CodingError(f"The body is not valid {self._coding.decode()}.") from None
            self._is_pending = len(output) == most and not self._inflater.eof
            if self._inflater.eof:
                self._input, self._inflater = self._inflater.unused_data, None
            else:
                self._input = self._inflater.unconsumed_tail
            if output:
                return output
        if self._inflater is not None:
            raise CodingError(f"The {self._coding.decode()} body is incomplete.")
        return b""

    def _fill(self) -> bool:
        """Take the next input if all is consumed. Return False at the end of the input."""
        while not self._input and self._chunks:
            chunk = self._chunks.popleft()
            self._input = chunk[:_INPUT_BYTES]
            if len(chunk) > _INPUT_BYTES:
                self._chunks.appendleft(chunk[_INPUT_BYTES:])
        return bool(self._input)

    def _begin_member(self) -> None:
        """Begin a gzip member or a deflate stream; zeros after the last member are padding, as for gzip."""
        if self._members:
            self._input = self._input.lstrip(b"\0")
            if not self._input:
                return
            if self._coding != b"gzip" or self._members == MAX_MEMBERS:
                raise CodingError(f"The {self._coding.decode()} body has bytes after its end.")
        self._members += 1
        if self._coding == b"gzip":
            window = _GZIP_WINDOW
        else:  # some clients send deflate without zlib's header (RFC 9110 section 8.4.1.2)
            window = _ZLIB_WINDOW if self._input[0] & 0x0F == zlib.DEFLATED else _RAW_WINDOW
        self._inflater = zlib.decompressobj(window)
