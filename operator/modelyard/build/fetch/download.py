"""A file on its way to the disk: hashed as it comes, bounded, and able to go on after a broken connection."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Self

import httpx

from modelyard.build.access import RegistryAccess
from modelyard.build.disk import check_free, disk_errors
from modelyard.build.errors import DigestMismatchError, SourceTooLargeError, SourceUnavailableError
from modelyard.build.fetch.policy import Policy
from modelyard.build.progress import Meter
from modelyard.build.retry import Retry
from modelyard.build.sizes import human


@dataclass(frozen=True)
class FetchContext:
    """What every fetch of one build shares."""

    access: RegistryAccess = field(default_factory=RegistryAccess)
    """Also gives http(s) and stores their CA bundle."""
    retry: Retry = field(default_factory=Retry)
    log: Callable[[str], None] = lambda _: None
    policy: Policy = field(default_factory=Policy)


@dataclass(frozen=True)
class FetchedFile:
    """`path` is a file named `name`, or the folder of an artifact of several files."""

    path: Path
    name: str
    size: int
    digest: str
    """sha256:… of the bytes; of the manifest for a folder."""


class Download:
    """One file, a context: `write` in order, `finish` once.

    Raises SourceTooLargeError and DiskFullError as it grows.
    """

    def __init__(self, path: Path, limit_bytes: int, context: FetchContext) -> None:
        self.path = path
        self.size = 0
        self._limit_bytes = limit_bytes
        self._log = context.log
        self._meter = Meter(context.log, path.name)
        self._hash = hashlib.sha256()
        self._file = path.open("wb", buffering=0)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()

    def restart(self) -> None:
        """Forget what came so far."""
        self.size = 0
        self._hash = hashlib.sha256()
        self._file.seek(0)
        self._file.truncate()

    def expect(self, more_bytes: int) -> None:
        """Fail before the transfer, not in the middle, when as many bytes again cannot be taken."""
        self._meter.total = self.size + more_bytes
        self._check_limit(self._meter.total)
        check_free(self.path.parent, more_bytes)

    def write(self, chunk: bytes | memoryview) -> None:
        self._check_limit(self.size + len(chunk))
        with disk_errors():
            rest = memoryview(chunk)
            while rest:
                rest = rest[self._file.write(rest) :]
        self._hash.update(chunk)
        self.size += len(chunk)
        self._meter.reach(self.size)

    def receive(self, response: httpx.Response) -> None:
        """Write a response's body: the rest after what is there for a 206, all of it for any other.

        Raises httpx.TransportError when the connection breaks, with what came until then kept.
        """
        if response.status_code != 206:
            self.restart()
        elif not response.headers.get("content-range", "").startswith(f"bytes {self.size}-"):
            self.restart()
            raise SourceUnavailableError("the server sent another range of the file than was asked for")
        length = response.headers.get("content-length", "")
        if length.isascii() and length.isdigit():
            self.expect(int(length))
        for chunk in response.iter_raw():
            self.write(chunk)

    def finish(self, digest: str | None) -> FetchedFile:
        """Raises DigestMismatchError unless the bytes have the digest, if one is given."""
        found = f"sha256:{self._hash.hexdigest()}"
        if digest is not None and digest.lower() != found:
            raise DigestMismatchError(
                f"the file has the digest {found}, not {digest}: correct the digest, or what is at the url"
            )
        self._log(f"{self.path.name}: {human(self.size)}, {found}")
        return FetchedFile(self.path, self.path.name, self.size, found)

    def _check_limit(self, size: int) -> None:
        if size > self._limit_bytes:
            raise SourceTooLargeError(
                f"more than the {human(self._limit_bytes)} that are left of what one build may download"
            )
