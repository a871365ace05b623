"""A file read as one stream, hashed as it comes, whatever breaks on the way."""

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
    """A context. Reading goes on where a connection broke, and each byte is hashed once.

    Where a server cannot go on, it is read from the start again, and must send what it sent before.
    """

    def __init__(self, remote: RemoteFile, name: str, limit_bytes: int, context: FetchContext) -> None:
        """Asks for the file; `name` is for one that has none. Raises SourceError and its kinds."""
        self.name = remote.name or name
        self.expected_digest = remote.digest
        self.read_bytes = 0
        """How many were read until now, the first ones of the file."""
        self._remote = remote
        self._limit_bytes = limit_bytes
        self._context = context
        self._hash = hashlib.sha256()
        self._waiting = ExitStack()
        self._first: RangeStream | None = context.retry.run(self._ask, on_retry=context.log)
        self.size = self._first.size
        """Of the whole file; None when the server does not say."""
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
        self._waiting.close()

    @property
    def digest(self) -> str:
        """sha256:… of the bytes that were read until now."""
        return f"sha256:{self._hash.hexdigest()}"

    def open(self, offset: int) -> Iterator[bytes]:
        """The bytes from `offset` on; those before are read too if they never were, for the digest.

        Raises SourceError and its kinds, at the end DigestMismatchError when it is not the expected file.
        """
        try:
            yield from self._context.retry.resumed(self._read, offset, on_retry=self._context.log)
        except _ChangedError:
            raise SourceChangedError(f"{self.name} changed while it was fetched") from None
        if self.expected_digest and self.expected_digest.lower() != self.digest:
            raise DigestMismatchError(
                f"the file has the digest {self.digest}, not {self.expected_digest}:"
                " correct the digest, or what is at the url"
            )

    def _ask(self) -> RangeStream:
        with ExitStack() as stack:
            opened = stack.enter_context(self._remote.open(0))
            self._waiting = stack.pop_all()
        return opened

    def _read(self, offset: int) -> Iterator[bytes]:
        """One try."""
        with self._opened(min(offset, self.read_bytes)) as opened:
            yield from replace(opened, chunks=self._hashed(opened)).rest(offset)

    @contextmanager
    def _opened(self, offset: int) -> Iterator[RangeStream]:
        first, self._first = self._first, None
        with self._waiting:  # where `close` reaches it, too: reading may be left anywhere
            yield first if first and offset == 0 else self._waiting.enter_context(self._remote.open(offset))

    def _hashed(self, opened: RangeStream) -> Iterator[bytes]:
        """The chunks; raises _ChangedError unless what is read again is what was read before."""
        at, known, before = opened.start, self.read_bytes, self._hash.digest()
        again = hashlib.sha256()
        for chunk in opened.chunks:
            view = memoryview(chunk)
            old = min(len(view), max(0, known - at))
            again.update(view[:old])
            if old and opened.start == 0 and at + old == known and again.digest() != before:
                raise _ChangedError
            at += len(view)
            self._check_limit(at)
            self._hash.update(view[old:])
            self.read_bytes = max(known, at)
            yield chunk
        if at < known:
            raise _ChangedError
        if self.size not in {None, at}:
            raise SourceUnavailableError(f"{self.name} ended after {at} of {self.size} bytes")

    def _check_limit(self, size: int) -> None:
        if size > self._limit_bytes:
            raise SourceTooLargeError(
                f"more than the {human(self._limit_bytes)} that are left of what one build may download"
            )


class _ChangedError(Exception):
    """What came is not what came before."""


class StreamedSource:
    """A file of known size, a context, as Content that can be uploaded."""

    def __init__(self, stream: FileStream, size: int, resources: ExitStack) -> None:
        self.name = stream.name
        self.size = size
        self.expected_digest = stream.expected_digest
        """sha256:… that the bytes must have, where that is known; see FileStream.open."""
        self._stream = stream
        self._resources = resources

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        self._resources.close()

    @property
    def digest(self) -> str:
        """sha256:… of the bytes that were read until now, of the file after its last one."""
        return self._stream.digest

    def open(self, offset: int) -> Iterator[bytes]:
        """See FileStream.open."""
        return self._stream.open(offset)
