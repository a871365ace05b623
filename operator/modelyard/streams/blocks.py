"""Division of a stream into blocks of equal size."""

from __future__ import annotations

from collections.abc import Iterable, Iterator


def blocks(chunks: Iterable[bytes], size: int) -> Iterator[bytes]:
    """Yield the bytes of the chunks in blocks of `size` bytes. The last block may be shorter."""
    block = bytearray()
    for chunk in chunks:
        block += chunk
        while len(block) >= size:
            yield bytes(block[:size])
            del block[:size]
    if block:
        yield bytes(block)
