"""One upload as a registry knows it, from its beginning to its commit."""

from __future__ import annotations

import contextlib
import re
from collections import deque
from collections.abc import Iterator
from itertools import chain
from types import TracebackType
from typing import Final, Self

import httpx

from modelyard.oci.content import (
    Blob,
    Body,
)
from modelyard.oci.errors import (
    RegistryError,
    RegistryNotFoundError,
    RegistryRefusedError,
)
from modelyard.oci.reference import Reference
from modelyard.oci.transport import (
    PUSH,
    Transport,
)

_BYTES: Final = {"Content-Type": "application/octet-stream"}
_TIMEOUT: Final = httpx.Timeout(30.0, connect=5.0, read=300.0)  # a registry copies a large blob on its commit
_CANCEL_TIMEOUT: Final = httpx.Timeout(5.0)
_RANGE: Final = re.compile(r"(?:bytes=)?0-(\d+)")


class SessionLostError(RegistryError):
    """The registry does not know the upload any more, or has something else of it than was sent."""


@contextlib.contextmanager
def lost() -> Iterator[None]:
    """An answer inside that is no transient one means that the session is lost."""
    try:
        yield
    except (RegistryNotFoundError, RegistryRefusedError) as error:
        raise SessionLostError(error.message) from None


class Session:
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
            cancel(self._transport, self._url, self._repository)

    def stream(self, body: Body, chunks: Iterator[bytes]) -> None:
        """All of the body in one request; its length need not be known."""
        first = next(chunks, b"")
        with lost():
            whole = body.hashed(chain((first,), chunks), 0)
            length = {} if body.whole_size is None else {"Content-Length": str(body.whole_size)}
            self._url = self._request("PATCH", self._url, whole, _BYTES | length)

    def send_parts(self, body: Body) -> None:
        """The rest of a body of which the registry has got some."""
        with lost():
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
                raise SessionLostError(f"{self._repository.registry} lost a part of an upload")
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
            raise SessionLostError(f"{self._repository.registry} has more of an upload than was sent")
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
                raise SessionLostError(f"{self._repository.registry} lost an upload") from None
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
        """Those that nobody took; none after one that the registry does not let be cancelled."""
        with contextlib.suppress(RegistryError):
            while self._begun:
                repository, url = self._begun.popleft()
                _end(self._transport, url, repository)


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


def _begin(transport: Transport, repository: Reference) -> httpx.URL:
    url = transport.of(repository, "blobs/uploads/")

    def ask() -> httpx.URL:
        with transport.request("POST", url, repository, PUSH, content=b"", timeout=_TIMEOUT) as response:
            return transport.location(response, repository)

    return transport.retried(ask)


def cancel(transport: Transport, session: httpx.URL, repository: Reference) -> None:
    """As far as the registry lets itself be told: it forgets uploads by itself, later."""
    with contextlib.suppress(RegistryError):
        _end(transport, session, repository)


def _end(transport: Transport, session: httpx.URL, repository: Reference) -> None:
    with transport.request("DELETE", session, repository, PUSH, timeout=_CANCEL_TIMEOUT):
        pass
