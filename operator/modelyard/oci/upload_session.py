"""Upload sessions: one upload in a registry, from its POST to its commit.

https://github.com/opencontainers/distribution-spec/blob/main/spec.md#pushing-a-blob-in-chunks
"""

from __future__ import annotations

import contextlib
import re
from collections import deque
from collections.abc import Iterator
from itertools import chain
from types import TracebackType
from typing import Final, Self

import httpx

from modelyard.coded_error import CodedError
from modelyard.oci.errors import (
    RegistryError,
    RegistryNotFoundError,
    RegistryRangeError,
    RegistryRefusedError,
)
from modelyard.oci.reference import Reference
from modelyard.oci.transport import (
    PUSH,
    RegistryTransport,
)
from modelyard.oci.upload_body import (
    Blob,
    UploadBody,
)

_OCTET_STREAM: Final = {"Content-Type": "application/octet-stream"}
_TIMEOUT: Final = httpx.Timeout(30.0, connect=5.0, read=300.0)
"""A registry copies a blob on its commit before it responds, which takes long for large blobs."""
_CANCEL_TIMEOUT: Final = httpx.Timeout(5.0)
_RANGE: Final = re.compile(r"(?:bytes=)?0-(\d+)")


class SessionLostError(RegistryError):
    """The registry no longer has the upload, or has other bytes of it than the client sent."""

    code = "RegistryUnavailable"


class UploadSession:
    """A context manager for one upload. On exit, it cancels an upload that is not committed."""

    def __init__(
        self, transport: RegistryTransport, repository: Reference, reserved: httpx.URL | None = None
    ) -> None:
        """`reserved` is the URL of an upload that exists already; by default, the session starts one."""
        self._transport = transport
        self._repository = repository
        self._reserved = reserved
        self._committed = False
        self._received: int | None = None
        """Bytes that the registry has. None if a broken request may have delivered some."""

    def __enter__(self) -> Self:
        self._url = self._reserved or _start(self._transport, self._repository)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if not self._committed:
            cancel(self._transport, self._url, self._repository)

    def stream(self, body: UploadBody, chunks: Iterator[bytes]) -> None:
        """Send the whole body in one request. `chunks` are its prefetched chunks.

        Raises SessionLostError if the registry refuses the request permanently.
        """
        # The first chunk is read before the headers are sent: it may determine the size of the content.
        first = next(chunks, b"")
        length = {} if body.content_size is None else {"Content-Length": str(body.content_size)}
        with _permanent_errors_lose_session():
            self._patch(body.hashed(chain((first,), chunks), 0), length)

    def send_parts(self, body: UploadBody) -> None:
        """Send the rest of a body in parts, from the last byte that the registry has. Each part is retried.

        Raises SessionLostError if the registry refuses a request permanently.
        """
        with _permanent_errors_lose_session():
            offset = self._transport.with_retry(lambda: self._received_bytes(body.blob.size))
            self._received = offset
            for part in body.parts(offset):
                self._send_part(part, offset, body)
                offset += len(part)

    def commit(self, blob: Blob, data: bytes = b"") -> None:
        """Turn the upload into a blob. `data` is the rest of its bytes, sent in the same request.

        Raises SessionLostError if the registry has neither the upload nor the blob.
        """
        url = self._url.copy_set_param("digest", blob.digest)
        try:
            with self._transport.request(
                "PUT", url, self._repository, PUSH, headers=_OCTET_STREAM, content=data, timeout=_TIMEOUT
            ):
                self._committed = True
        except RegistryNotFoundError:
            # An earlier attempt may have committed the upload although its response was lost.
            if not has_blob(self._transport, self._repository, blob.digest):
                raise SessionLostError(f"{self._repository.registry} lost an upload") from None
            self._committed = True

    def _send_part(self, part: bytes, offset: int, body: UploadBody) -> None:
        """Send the bytes of a part that the registry lacks. `offset` is the position of the part."""
        end = offset + len(part)

        def send() -> None:
            received = self._received
            if received is None:
                received = self._received_bytes(body.blob.size)
            if received < offset:
                raise SessionLostError(f"{self._repository.registry} lost a part of an upload")
            if received < end:
                self._received = None
                self._patch(part[received - offset :], {"Content-Range": f"{received}-{end - 1}"})
            self._received = max(received, end)

        self._transport.with_retry(send, retry_if=_is_resumable)

    def _received_bytes(self, sent_bytes: int) -> int:
        """Return how many of the bytes sent so far the registry has."""
        with self._transport.request("GET", self._url, self._repository, PUSH) as response:
            match = _RANGE.fullmatch(response.headers.get("range", ""))
            if "location" in response.headers:
                self._url = self._transport.location(response, self._repository)
        last = int(match[1]) if match else 0
        count = last + 1 if last else 0  # registries send 0-0 for an empty upload too
        if count > sent_bytes:
            raise SessionLostError(f"{self._repository.registry} has more of an upload than was sent")
        return count

    def _patch(self, content: bytes | Iterator[bytes], headers: dict[str, str]) -> None:
        """Append content to the upload, and follow it to the URL of the next request."""
        with self._transport.request(
            "PATCH",
            self._url,
            self._repository,
            PUSH,
            headers=_OCTET_STREAM | headers,
            content=content,
            timeout=_TIMEOUT,
        ) as response:
            self._url = self._transport.location(response, self._repository)


class ReservedUploads:
    """Uploads that exist in the registry before their blobs exist."""

    def __init__(self, transport: RegistryTransport) -> None:
        self._transport = transport
        self._uploads: deque[tuple[Reference, httpx.URL]] = deque()

    def reserve(self, repository: Reference, count: int) -> None:
        """Start `count` uploads in the repository. Raises RegistryError."""
        for _ in range(count):
            self._uploads.append((repository, _start(self._transport, repository)))

    def pop(self, repository: Reference) -> httpx.URL | None:
        """Remove an upload of the repository, and return its URL, None if there is none."""
        with contextlib.suppress(IndexError):  # another thread may have removed the last upload
            candidate, url = self._uploads.popleft()
            if candidate == repository:
                return url
            self._uploads.append((candidate, url))
        return None

    def cancel(self) -> None:
        """Cancel the uploads that are left, up to the first that the registry does not cancel."""
        with contextlib.suppress(RegistryError):
            while self._uploads:
                repository, url = self._uploads.popleft()
                _delete(self._transport, url, repository)


def has_blob(transport: RegistryTransport, repository: Reference, digest: str) -> bool:
    """Return whether a repository has a blob. Raises RegistryError if the registry does not answer that."""
    url = transport.repository_url(repository, f"blobs/{digest}")

    def head() -> bool:
        with transport.request("HEAD", url, repository, PUSH):
            return True

    try:
        return transport.with_retry(head)
    except RegistryNotFoundError:
        return False


def cancel(transport: RegistryTransport, upload: httpx.URL, repository: Reference) -> None:
    """Cancel an upload, best effort: registries also expire uploads."""
    with contextlib.suppress(RegistryError):
        _delete(transport, upload, repository)


def _is_resumable(error: CodedError) -> bool:
    """Return whether a part can be sent again.

    A registry may notice late that a connection has broken, and may count bytes of that request until then.
    """
    return error.transient or isinstance(error, RegistryRangeError)


@contextlib.contextmanager
def _permanent_errors_lose_session() -> Iterator[None]:
    """Turn permanent errors of the registry inside the block into SessionLostError."""
    try:
        yield
    except (RegistryNotFoundError, RegistryRefusedError) as error:
        raise SessionLostError(error.message) from None


def _start(transport: RegistryTransport, repository: Reference) -> httpx.URL:
    url = transport.repository_url(repository, "blobs/uploads/")

    def post() -> httpx.URL:
        with transport.request("POST", url, repository, PUSH, content=b"", timeout=_TIMEOUT) as response:
            return transport.location(response, repository)

    return transport.with_retry(post)


def _delete(transport: RegistryTransport, upload: httpx.URL, repository: Reference) -> None:
    with transport.request("DELETE", upload, repository, PUSH, timeout=_CANCEL_TIMEOUT):
        pass
