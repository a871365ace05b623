"""Content that can be read again from any offset.

An upload that breaks, or a download that breaks, continues at the byte where it stopped, instead of at the
start. For this the reader opens the same content again, at an offset. Everything that is uploaded has this
shape: a blob of another registry, a file of a source, a tar that is generated while it is read, and a tar in
gzip.

    for chunk in content.open(offset):  # b"" is never a chunk; no chunk at all if the offset is the end
        connection.send(chunk)

A file of a source is one level below: RemoteFile.open makes a single attempt, and returns the RangeStream of
the response, because a server may ignore the offset. FileStream retries such attempts, and so is a
ReadableAt.
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
