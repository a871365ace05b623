"""Blobs on their way into a registry: hashed as they are sent, in memory that does not grow with them.

A blob goes as one stream. When that breaks, or is too long for a proxy, the registry is asked what it has,
and the rest goes in parts, each tried again on its own.
"""

from __future__ import annotations

import contextlib
import hashlib
import re
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import chain
from types import TracebackType
from typing import Final, Protocol, Self

import httpx

from modelyard.build.ahead import Ahead
from modelyard.build.errors import (
    BuildFailedError,
    DigestMismatchError,
    RegistryError,
    RegistryForbiddenError,
    RegistryNotFoundError,
    RegistryRefusedError,
    RegistryTooLargeError,
    RegistryUnavailableError,
)
from modelyard.build.reference import Reference
from modelyard.build.registry.answers import digest_of
from modelyard.build.registry.login import scope
from modelyard.build.registry.transport import PULL, PUSH, Transport

_PART_BYTES: Final = 16 * 1024 * 1024  # held in memory; S3 behind a registry takes no part below 5 MiB
_BYTES: Final = {"Content-Type": "application/octet-stream"}
_TIMEOUT: Final = httpx.Timeout(30.0, connect=5.0, read=300.0)  # a registry copies a large blob on its commit
_CANCEL_TIMEOUT: Final = httpx.Timeout(5.0)
_RANGE: Final = re.compile(r"(?:bytes=)?0-(\d+)")


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


def has_blob(transport: Transport, repository: Reference, digest: str) -> bool:
    """Raises RegistryError for anything but yes and no."""
    url = transport.of(repository, f"blobs/{digest}")

    def ask() -> bool:
        with transport.request("HEAD", url, repository, PUSH):
            return True

    try:
        return transport.retried(ask)
    except RegistryNotFoundError:
        return False


def mount(transport: Transport, repository: Reference, digest: str, source: str) -> bool:
    """Whether the registry shared a blob between two of its repositories; a refusal is none of the errors."""
    url = transport.of(repository, "blobs/uploads/").copy_merge_params({"mount": digest, "from": source})

    def ask() -> bool:
        with transport.request(
            "POST", url, repository, PUSH, more_scopes=(scope(source, PULL),), content=b""
        ) as response:
            if response.status_code == 201:
                return True
            session = transport.location(response, repository)
        _cancel(transport, session, repository)
        return False

    try:
        return transport.retried(ask)
    except RegistryUnavailableError:
        raise
    except RegistryError:
        return False


class Reserved:
    """Uploads that were begun, for blobs that are not known yet."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport
        self._begun: deque[tuple[Reference, httpx.URL]] = deque()

    def fill(self, repository: Reference, count: int) -> None:
        """Raises RegistryError."""
        for _ in range(count):
            self._begun.append((repository, _begin(self._transport, repository)))

    def take(self, repository: Reference) -> httpx.URL | None:
        """One of the repository, if there is one left."""
        with contextlib.suppress(IndexError):
            found, url = self._begun.popleft()
            if found == repository:
                return url
            self._begun.append((found, url))
        return None

    def cancel(self) -> None:
        """Those that nobody took."""
        for repository, url in self._begun:
            _cancel(self._transport, url, repository)
        self._begun.clear()


def upload_bytes(transport: Transport, repository: Reference, data: bytes, reserved: Reserved) -> Blob:
    """A small blob, in one piece."""
    blob = Blob(digest_of(data), len(data))

    def send() -> Blob:
        with _Session(transport, repository, reserved.take(repository)) as session:
            transport.retried(lambda: session.commit(blob, data))
        return blob

    return _restarted(transport, send)


def upload(
    transport: Transport,
    repository: Reference,
    content: Content,
    *,
    digest: str | None,
    progress: Callable[[int], None] | None,
) -> Blob:
    """See Registry.upload."""

    def send() -> Blob:
        body = _Body(content, progress)
        # The first bytes are under way while the registry begins.
        with contextlib.closing(body.ahead(0)) as chunks, _Session(transport, repository) as session:
            try:
                session.stream(body, chunks)
            except (RegistryUnavailableError, RegistryTooLargeError, RegistryForbiddenError) as error:
                chunks.close()
                transport.tell(f"{error}; going on in parts")
                session.send_parts(body)
            if digest not in {None, body.blob.digest}:
                raise DigestMismatchError(f"the content has the digest {body.blob.digest}, not {digest}")
            transport.retried(lambda: session.commit(body.blob))
        return body.blob

    try:
        return _restarted(transport, send)
    except _ContentError as error:
        raise error.failure from None


class _ContentError(Exception):
    """Around a failure of the content: the registry has no part in it, even when it is a registry's."""

    def __init__(self, failure: BuildFailedError) -> None:
        super().__init__(failure)
        self.failure = failure


class _SessionLostError(RegistryError):
    """The registry does not know the upload any more, or has something else of it than was sent."""


def _restarted(transport: Transport, send: Callable[[], Blob]) -> Blob:
    """From the start when the session is lost: a registry that restarts may forget what it had."""
    failures = 0
    while True:
        try:
            return send()
        except _SessionLostError as error:
            failures += 1
            wait = transport.retry.wait_or_raise(
                RegistryUnavailableError(error.message), failures, transport.tell
            )
        transport.retry.sleep(wait)


@contextlib.contextmanager
def _lost() -> Iterator[None]:
    """An answer inside that is no transient one means that the session is lost."""
    try:
        yield
    except (RegistryNotFoundError, RegistryRefusedError) as error:
        raise _SessionLostError(error.message) from None


class _Body:
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
    def headers(self) -> dict[str, str]:
        """Of a request with all of it; known once its first bytes were read."""
        return _BYTES if self._content.size is None else _BYTES | {"Content-Length": str(self._content.size)}

    def ahead(self, offset: int) -> Ahead:
        """The bytes from `offset` on, to be `hashed`."""
        return Ahead(self._open(offset))

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
        except BuildFailedError as error:
            raise _ContentError(error) from None

    def parts(self, offset: int) -> Iterator[bytes]:
        part = bytearray()
        with contextlib.closing(self.ahead(offset)) as chunks:
            for chunk in self.hashed(chunks, offset):
                part += chunk
                while len(part) >= _PART_BYTES:
                    yield bytes(part[:_PART_BYTES])
                    del part[:_PART_BYTES]
        if part:
            yield bytes(part)


class _Session:
    """One upload as the registry knows it, a context; cancelled there unless it was committed."""

    def __init__(self, transport: Transport, repository: Reference, begun: httpx.URL | None = None) -> None:
        """`begun` is the address of one that the registry has begun already."""
        self._transport = transport
        self._repository = repository
        self._begun = begun
        self._committed = False

    def __enter__(self) -> Self:
        self._url = self._begun or _begin(self._transport, self._repository)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if not self._committed:
            _cancel(self._transport, self._url, self._repository)

    def stream(self, body: _Body, chunks: Iterator[bytes]) -> None:
        """All of the body in one request; its length need not be known."""
        first = next(chunks, b"")
        with _lost():
            whole = body.hashed(chain((first,), chunks), 0)
            self._url = self._request("PATCH", self._url, whole, body.headers)

    def send_parts(self, body: _Body) -> None:
        """The rest of a body of which the registry has got some."""
        with _lost():
            offset = self._transport.retried(lambda: self._received(body.size))
            for part in body.parts(offset):
                self._part(part, offset)
                offset += len(part)

    def _part(self, part: bytes, offset: int) -> None:
        in_doubt = False

        def send() -> None:
            nonlocal in_doubt
            done = self._received(offset + len(part)) - offset if in_doubt else 0
            if done < 0:
                raise _SessionLostError(f"{self._repository.registry} lost a part of an upload")
            if done < len(part):
                in_doubt = True
                where = {"Content-Range": f"{offset + done}-{offset + len(part) - 1}"}
                self._url = self._request("PATCH", self._url, part[done:], _BYTES | where)

        self._transport.retried(send)

    def _received(self, sent: int) -> int:
        """How many bytes of the `sent` the registry has."""
        with self._transport.request("GET", self._url, self._repository, PUSH) as response:
            found = _RANGE.fullmatch(response.headers.get("range", ""))
            if "location" in response.headers:
                self._url = self._transport.location(response, self._repository)
        last = int(found[1]) if found else 0
        count = last + 1 if last else 0  # 0-0 stands for nothing too
        if count > sent:
            raise _SessionLostError(f"{self._repository.registry} has more of an upload than was sent")
        return count

    def commit(self, blob: Blob, data: bytes = b"") -> None:
        """Make it a blob; `data` is what was not sent yet."""
        url = self._url.copy_set_param("digest", blob.digest)
        try:
            with self._transport.request(
                "PUT", url, self._repository, PUSH, headers=_BYTES, content=data, timeout=_TIMEOUT
            ):
                self._committed = True
        except RegistryNotFoundError:  # of a commit before, whose answer was lost
            if not has_blob(self._transport, self._repository, blob.digest):
                raise _SessionLostError(f"{self._repository.registry} lost an upload") from None
            self._committed = True

    def _request(
        self,
        method: str,
        url: httpx.URL,
        content: bytes | Iterator[bytes] = b"",
        headers: dict[str, str] | None = None,
    ) -> httpx.URL:
        """Where the session goes on."""
        with self._transport.request(
            method, url, self._repository, PUSH, headers=headers, content=content, timeout=_TIMEOUT
        ) as response:
            return self._transport.location(response, self._repository)


def _begin(transport: Transport, repository: Reference) -> httpx.URL:
    url = transport.of(repository, "blobs/uploads/")

    def ask() -> httpx.URL:
        with transport.request("POST", url, repository, PUSH, content=b"", timeout=_TIMEOUT) as response:
            return transport.location(response, repository)

    return transport.retried(ask)


def _cancel(transport: Transport, session: httpx.URL, repository: Reference) -> None:
    """As far as the registry lets itself be told: it forgets uploads by itself, later."""
    with (
        contextlib.suppress(RegistryError),
        transport.request("DELETE", session, repository, PUSH, timeout=_CANCEL_TIMEOUT),
    ):
        pass
