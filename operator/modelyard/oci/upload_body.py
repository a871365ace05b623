"""The body of an upload, hashed while it is sent."""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass
from typing import Final

from modelyard.coded_error import CodedError
from modelyard.streams.blocks import blocks
from modelyard.streams.prefetcher import Prefetcher
from modelyard.streams.readable import ReadableAt

_PART_BYTES: Final = 16 * 1024 * 1024
"""Bytes of a part, which is in memory while it is sent. A registry on S3 accepts no part below 5 MiB."""


@dataclass(frozen=True)
class Blob:
    """A blob in a registry, with its digest and its size in bytes."""

    digest: str
    size: int


class ContentError(Exception):
    """Wraps an error of the content, to distinguish it from errors of the receiving registry.

    The content may be a blob of another registry, whose errors have the same types.
    """

    def __init__(self, cause: CodedError) -> None:
        super().__init__(cause)
        self.cause = cause


class UploadBody:
    """The bytes of an upload. Each byte is hashed once, however often it is sent."""

    def __init__(self, content: ReadableAt, progress: Callable[[int], None] | None) -> None:
        self._content = content
        self._progress = progress
        self._hash = hashlib.sha256()
        self._hashed_bytes = 0

    @property
    def blob(self) -> Blob:
        """Return digest and size of the bytes hashed so far: of the whole content once it is sent."""
        return Blob(f"sha256:{self._hash.hexdigest()}", self._hashed_bytes)

    @property
    def content_size(self) -> int | None:
        """Return the size of the content, None if unknown. Reading the first chunk may determine the size."""
        return self._content.size

    def prefetch(self, offset: int) -> Prefetcher:
        """Start to read the content at `offset`. Pass the chunks to `hashed` when they are sent."""
        return Prefetcher(self._read(offset))

    def hashed(self, chunks: Iterator[bytes], offset: int) -> Iterator[bytes]:
        """Yield the chunks, which begin at `offset`, and hash the bytes that are not hashed yet."""
        for chunk in chunks:
            hashed_before = self._hashed_bytes - offset
            offset += len(chunk)
            if offset > self._hashed_bytes:
                self._hash.update(memoryview(chunk)[hashed_before:])
                self._hashed_bytes = offset
            yield chunk
            if self._progress:
                self._progress(offset)

    def parts(self, offset: int) -> Iterator[bytes]:
        """Yield the content from `offset` on in parts, hashed like in `hashed`."""
        with contextlib.closing(self.prefetch(offset)) as chunks:
            yield from blocks(self.hashed(chunks, offset), _PART_BYTES)

    def _read(self, offset: int) -> Generator[bytes]:
        try:
            yield from self._content.open(offset)
        except CodedError as error:
            raise ContentError(error) from None
