"""Bytes in pieces of another size."""

from __future__ import annotations

from collections.abc import Iterable, Iterator


def blocks(chunks: Iterable[bytes], size: int) -> Iterator[bytes]:
    """The same bytes in blocks of `size` bytes, the last one of what is left, however they come."""
    block = bytearray()
    for chunk in chunks:
        block += chunk
        while len(block) >= size:
            yield bytes(block[:size])
            del block[:size]
    if block:
        yield bytes(block)
