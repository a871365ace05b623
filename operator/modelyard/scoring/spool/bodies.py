"""The parts of bodies that records keep."""

import codecs
import hashlib
from collections.abc import Sequence
from typing import Final

_BINARY_TYPES: Final = ("image/", "audio/", "video/", "font/", "application/octet-stream")
"""Beginnings of media types whose bodies are binary, also if their bytes happen to be a text."""


def kept_bodies(
    bodies: Sequence[bytes], media_types: Sequence[str], limit: int
) -> tuple[Sequence[bytes], Sequence[bytes]]:
    """Return the kept parts of bodies, and the digests of bodies that are not kept whole, otherwise empty.

    A text of at most `limit` bytes is kept whole, of a longer one the beginning, and of binary data nothing.
    If all bodies are kept whole there are no digests.
    """
    if _are_small_texts(bodies, media_types, limit):
        return bodies, ()
    kept = [_text(body[:limit], type_) for body, type_ in zip(bodies, media_types, strict=True)]
    digests = [
        b"" if len(text) == len(body) else hashlib.sha256(body).digest()
        for text, body in zip(kept, bodies, strict=True)
    ]
    return kept, digests


def _are_small_texts(bodies: Sequence[bytes], media_types: Sequence[str], limit: int) -> bool:
    """Return True for the usual batch, from a look at all bodies at once."""
    if max(map(len, bodies)) > limit or any(map(_is_binary_type, set(media_types))):
        return False
    text = b"\n".join(bodies)  # a line end is no part of another character
    return b"\0" not in text and (text.isascii() or _is_utf8(text))


def _is_binary_type(media_type: str) -> bool:
    return media_type.lower().startswith(_BINARY_TYPES)


def _is_utf8(text: bytes) -> bool:
    try:
        text.decode()
    except UnicodeDecodeError:
        return False
    return True


def _text(beginning: bytes, media_type: str) -> bytes:
    """Return the whole characters of the beginning of a body, and nothing of binary data."""
    if _is_binary_type(media_type) or b"\0" in beginning:
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
