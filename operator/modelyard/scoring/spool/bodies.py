"""The parts of bodies that records keep."""

import codecs
import hashlib
from typing import Final

_BINARY_TYPES: Final = ("image/", "audio/", "video/", "font/", "application/octet-stream")
"""Beginnings of media types whose bodies are binary, also if their bytes happen to be a text."""


def kept_body(body: bytes, media_type: str, limit: int, size: int) -> tuple[bytes, bytes]:
    """Return the kept part of a body, and the digest of a body that is not kept whole, otherwise empty.

    A text of at most `limit` bytes is kept whole, of a longer one the beginning, and of binary data nothing.
    `size` is that of the whole body: the beginning of a stream has no digest, since it is not the stream's.
    """
    kept = _text(body[:limit], media_type)
    return kept, b"" if len(kept) == len(body) or len(body) != size else hashlib.sha256(body).digest()


def _text(beginning: bytes, media_type: str) -> bytes:
    """Return the whole characters of the beginning of a body, and nothing of binary data."""
    if is_binary_type(media_type) or b"\0" in beginning:
        return b""
    if beginning.isascii():
        return beginning
    decoder = codecs.getincrementaldecoder("utf-8")()
    try:
        decoder.decode(beginning)
    except UnicodeDecodeError:
        return b""
    cut_character = decoder.getstate()[0]
    return beginning[: len(beginning) - len(cut_character)]


def is_binary_type(media_type: str) -> bool:
    """Tell whether a body of this media type is kept as a digest only."""
    return media_type.lower().startswith(_BINARY_TYPES)
