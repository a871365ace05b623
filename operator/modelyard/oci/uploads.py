"""Blobs on their way into a registry: hashed as they are sent, in memory that does not grow with them.

A blob goes as one stream. When that breaks, or is too long for a proxy, the registry is asked what it has,
and the rest goes in parts, each tried again on its own.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable

import httpx

from modelyard.oci.auth import scope
from modelyard.oci.content import (
    Blob,
    Body,
    Content,
    ContentError,
)
from modelyard.oci.errors import (
    BlobDigestMismatchError,
    RegistryError,
    RegistryForbiddenError,
    RegistryTooLargeError,
    RegistryUnavailableError,
)
from modelyard.oci.reference import Reference
from modelyard.oci.responses import digest_of
from modelyard.oci.transport import (
    PULL,
    PUSH,
    Transport,
)
from modelyard.oci.upload_session import (
    Reserved,
    Session,
    SessionLostError,
    cancel,
    lost,
)


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
        cancel(transport, session, repository)
        return False

    try:
        return transport.retried(ask)
    except RegistryUnavailableError:
        raise
    except RegistryError:
        return False


def upload_bytes(transport: Transport, repository: Reference, data: bytes, reserved: Reserved) -> Blob:
    """A small blob, in one piece."""
    blob = Blob(digest_of(data), len(data))

    def send(begun: httpx.URL | None = None) -> Blob:
        with Session(transport, repository, begun) as session:
            transport.retried(lambda: session.commit(blob, data))
        return blob

    if begun := reserved.take(repository):
        with contextlib.suppress(SessionLostError), lost():  # it may have been begun long ago
            return send(begun)
    return _restarted(transport, send)


def upload(
    transport: Transport,
    repository: Reference,
    content: Content,
    *,
    digest: str | None,
    progress: Callable[[int], None] | None,
) -> Blob:
    """See RegistryClient.upload."""

    def send() -> Blob:
        body = Body(content, progress)
        # The first bytes are under way while the registry begins.
        with contextlib.closing(body.ahead(0)) as chunks, Session(transport, repository) as session:
            try:
                session.stream(body, chunks)
            except (RegistryUnavailableError, RegistryTooLargeError, RegistryForbiddenError) as error:
                chunks.close()
                transport.tell(f"{error}; going on in parts")
                session.send_parts(body)
            if digest not in {None, body.blob.digest}:
                raise BlobDigestMismatchError(f"the content has the digest {body.blob.digest}, not {digest}")
            transport.retried(lambda: session.commit(body.blob))
        return body.blob

    try:
        return _restarted(transport, send)
    except ContentError as error:
        raise error.failure from None


def _restarted(transport: Transport, send: Callable[[], Blob]) -> Blob:
    """From the start when the session is lost: a registry that restarts may forget what it had."""
    failures = 0
    while True:
        try:
            return send()
        except SessionLostError as error:
            failures += 1
            wait = transport.retry.wait_or_raise(
                RegistryUnavailableError(error.message), failures, transport.tell
            )
        transport.retry.sleep(wait)
