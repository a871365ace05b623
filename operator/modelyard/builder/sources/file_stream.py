"""A remote file as one stream: resumed after errors, and hashed while it is read."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from types import TracebackType
from typing import Self

from modelyard.builder.sources.context import FetchContext
from modelyard.builder.sources.remote_file import RemoteFile
from modelyard.contract.errors import (
    DigestMismatchError,
    SourceChangedError,
    SourceTooLargeError,
    SourceUnavailableError,
)
from modelyard.sizes import human
from modelyard.streams.range_stream import RangeStream


class FileStream:
    """A context manager for a remote file. After an error reading resumes; each byte is hashed once.

    If the server cannot resume, the file is read from the start. The bytes must then equal those read before.
    """

    def __init__(self, remote: RemoteFile, name: str, limit_bytes: int, context: FetchContext) -> None:
        """Open the file. `name` is its name if the URL has none. Raises SourceError and its subclasses."""
        self.name = remote.name or name
        self.expected_digest = remote.digest
        self.read_bytes = 0
        """Number of bytes read so far, from the start of the file without gaps."""
        self._remote = remote
        self._limit_bytes = limit_bytes
        self._context = context
        self._hash = hashlib.sha256()
        self._response = ExitStack()
        """The open response, which `close` closes."""
        self._first: RangeStream | None = context.retry.run(self._open_first, on_retry=context.log)
        self.size = self._first.size
        """Bytes of the whole file, None if the server does not report the size."""
        try:
            self._check_limit(self.size or 0)
        except SourceTooLargeError:
            self.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connection, also if reading stopped in the middle."""
        self._response.close()

    @property
    def digest(self) -> str:
        """Return the digest (sha256:…) of the bytes read so far."""
        return f"sha256:{self._hash.hexdigest()}"

    def open(self, offset: int) -> Iterator[bytes]:
        """Yield the bytes from `offset` on. Unread bytes before `offset` are read too, for the digest.

        Raises SourceError and its subclasses, and DigestMismatchError after the last byte.
        """
        try:
            yield from self._context.retry.resumed(self._read, offset, on_retry=self._context.log)
        except _ChangedError:
            raise SourceChangedError(f"{self.name} changed during its download") from None
        if self.expected_digest and self.expected_digest.lower() != self.digest:
            raise DigestMismatchError(
                f"the file has the digest {self.digest}, not {self.expected_digest}:"
                " correct the digest, or the file at the url"
            )

    def _open_first(self) -> RangeStream:
        with ExitStack() as stack:
            stream = stack.enter_context(self._remote.open(0))
            self._response = stack.pop_all()
        return stream

    def _read(self, offset: int) -> Iterator[bytes]:
        """Yield the bytes from `offset` on, without retries."""
        with self._opened(min(offset, self.read_bytes)) as stream:
            yield from replace(stream, chunks=self._hashed(stream)).rest(offset)

    @contextmanager
    def _opened(self, offset: int) -> Iterator[RangeStream]:
        first, self._first = self._first, None
        with self._response:  # an attribute, since a caller may stop reading and call `close`
            if first and offset == 0:
                yield first
            else:
                yield self._response.enter_context(self._remote.open(offset))

    def _hashed(self, stream: RangeStream) -> Iterator[bytes]:
        """Yield the chunks. Raises _ChangedError unless bytes that are read again equal those read before."""
        position, read_before, digest_before = stream.start, self.read_bytes, self._hash.digest()
        reread = hashlib.sha256()
        for chunk in stream.chunks:
            view = memoryview(chunk)
            overlap = min(len(view), max(0, read_before - position))
            reread.update(view[:overlap])
            reread_all = overlap and stream.start == 0 and position + overlap == read_before
            if reread_all and reread.digest() != digest_before:
                raise _ChangedError
            position += len(view)
            self._check_limit(position)
            self._hash.update(view[overlap:])
            self.read_bytes = max(read_before, position)
            yield chunk
        if position < read_before:
            raise _ChangedError
        if self.size not in {None, position}:
            raise SourceUnavailableError(f"{self.name} ended after {position} of {self.size} bytes")

    def _check_limit(self, size: int) -> None:
        if size > self._limit_bytes:
            raise SourceTooLargeError(
                f"the file has more than the {human(self._limit_bytes)} that this build may still download"
            )


class _ChangedError(Exception):
    """The file differs from the bytes read before."""


class StreamedSource:
    """A context manager for a remote file of known size, which the registry client can upload."""

    def __init__(self, stream: FileStream, size: int, resources: ExitStack) -> None:
        self.name = stream.name
        self.size = size
        self.expected_digest = stream.expected_digest
        """Expected digest (sha256:…) of the bytes, None if unknown. See FileStream.open."""
        self._stream = stream
        self._resources = resources

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connection and the client."""
        self._resources.close()

    @property
    def digest(self) -> str:
        """Return the digest (sha256:…) of the bytes read so far."""
        return self._stream.digest

    def open(self, offset: int) -> Iterator[bytes]:
        """Yield the bytes from `offset` on, see FileStream.open."""
        return self._stream.open(offset)
