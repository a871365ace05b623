"""What is uploaded: bytes that are hashed once, however often they are sent."""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final, Protocol

from modelyard.coded_error import CodedError
from modelyard.streams.blocks import blocks
from modelyard.streams.prefetcher import Prefetcher

_PART_BYTES: Final = 16 * 1024 * 1024  # held in memory; S3 behind a registry takes no part below 5 MiB


class Content(Protocol):
    """Bytes that can be read again, the same each time."""

    @property
    def size(self) -> int | None:
        """How many there are, if that is known once the first of them were read."""

    def open(self, offset: int) -> Iterator[bytes]:
        """The bytes from `offset` on, in chunks; none at the end. Chunks of about 1 MiB are sent fastest."""


@dataclass(frozen=True)
class Blob:
    """A blob that is in a registry; `size` in bytes."""

    digest: str
    size: int


class ContentError(Exception):
    """Around a failure of the content: the registry has no part in it, even when it is a registry's."""

    def __init__(self, failure: CodedError) -> None:
        super().__init__(failure)
        self.failure = failure


class Body:
    """The bytes of a blob, each hashed once, however often it is sent."""

    def __init__(self, content: Content, progress: Callable[[int], None] | None) -> None:
        self.size = 0
        """Bytes that were hashed, the first ones of the content."""
        self._content = content
        self._progress = progress
        self._hash = hashlib.sha256()

    @property
    def blob(self) -> Blob:
        return Blob(f"sha256:{self._hash.hexdigest()}", self.size)

    @property
    def whole_size(self) -> int | None:
        """Of the content, if that is known once its first bytes were read."""
        return self._content.size

    def ahead(self, offset: int) -> Prefetcher:
        """The bytes from `offset` on, to be `hashed`."""
        return Prefetcher(self._open(offset))

    def hashed(self, chunks: Iterator[bytes], offset: int) -> Iterator[bytes]:
        """The same chunks, which begin at `offset`."""
        for chunk in chunks:
            known = self.size - offset
            offset += len(chunk)
            if offset > self.size:
                self._hash.update(memoryview(chunk)[known:])
                self.size = offset
            yield chunk
            if self._progress:
                self._progress(offset)

    def _open(self, offset: int) -> Iterator[bytes]:
        try:
            yield from self._content.open(offset)
        except CodedError as error:
            raise ContentError(error) from None

    def parts(self, offset: int) -> Iterator[bytes]:
        with contextlib.closing(self.ahead(offset)) as chunks:
            yield from blocks(self.hashed(chunks, offset), _PART_BYTES)
