"""Content that can be read again from any offset.

An upload or a download that breaks continues at the byte where it stopped, instead of at the start. The
reader opens the same content again, at an offset. All uploaded content has this shape: blobs of another
registry, files of a source, and tars that are generated while they are read.

    for chunk in content.open(offset):  # no chunk if the offset is the end of the content
        connection.send(chunk)

A RemoteFile of a source is one level below. Its `open` makes a single attempt and returns a RangeStream,
because a server may ignore the offset. A FileStream retries the attempts, and is a ReadableAt.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol


class ReadableAt(Protocol):
    """Bytes that are the same each time they are read."""

    @property
    def size(self) -> int | None:
        """Return the number of bytes, None if unknown. Reading the first chunk may determine the size."""

    def open(self, offset: int) -> Iterator[bytes]:
        """Return the bytes from `offset` on, in chunks. Chunks of about 1 MiB are sent fastest."""


class SizedReadableAt(ReadableAt, Protocol):
    """A ReadableAt whose size is known before it is read."""

    @property
    def size(self) -> int:
        """Return the number of bytes."""
