"""Uploads of blobs: streamed, resumed, restarted, or replaced by a mount.

A blob is sent in one request. If the request breaks, or a proxy refuses its size, the rest is sent in parts,
from the last byte that the registry has received. Each part is retried on its own.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable

import httpx

from modelyard.coded_error import CodedError
from modelyard.oci.auth import scope
from modelyard.oci.errors import (
    BlobDigestMismatchError,
    RegistryError,
    RegistryForbiddenError,
    RegistryNotFoundError,
    RegistryRefusedError,
    RegistryTooLargeError,
    RegistryUnavailableError,
)
from modelyard.oci.reference import Reference
from modelyard.oci.responses import digest_of
from modelyard.oci.transport import (
    PULL,
    PUSH,
    RegistryTransport,
)
from modelyard.oci.upload_body import (
    Blob,
    ContentError,
    UploadBody,
)
from modelyard.oci.upload_session import (
    ReservedUploads,
    SessionLostError,
    UploadSession,
    cancel,
)
from modelyard.streams.readable import ReadableAt


def mount(transport: RegistryTransport, repository: Reference, digest: str, source: str) -> bool:
    """Mount a blob of the repository with the path `source`. Returns False if the registry refuses.

    Raises RegistryUnavailableError.
    """
    url = transport.repository_url(repository, "blobs/uploads/").copy_merge_params(
        {"mount": digest, "from": source}
    )

    def post() -> bool:
        with transport.request(
            "POST", url, repository, PUSH, more_scopes=(scope(source, PULL),), content=b""
        ) as response:
            if response.status_code == 201:
                return True
            # Instead of a mount, the registry started an upload.
            upload = transport.location(response, repository)
        cancel(transport, upload, repository)
        return False

    try:
        return transport.with_retry(post)
    except RegistryUnavailableError:
        raise
    except RegistryError:
        return False


def upload_bytes(
    transport: RegistryTransport, repository: Reference, data: bytes, reserved: ReservedUploads
) -> Blob:
    """Upload a small blob in one request, or in two if no upload is reserved. Raises RegistryError."""
    blob = Blob(digest_of(data), len(data))

    def send(reserved_url: httpx.URL | None = None) -> Blob:
        with UploadSession(transport, repository, reserved_url) as session:
            transport.with_retry(lambda: session.commit(blob, data))
        return blob

    if reserved_url := reserved.pop(repository):
        # The registry may have expired a reserved upload: continue with a new one.
        with contextlib.suppress(SessionLostError, RegistryNotFoundError, RegistryRefusedError):
            return send(reserved_url)
    return _restart_if_lost(transport, send)


def upload(
    transport: RegistryTransport,
    repository: Reference,
    content: ReadableAt,
    *,
    digest: str | None,
    progress: Callable[[int], None] | None,
) -> Blob:
    """Upload a blob of any size. See RegistryClient.upload."""

    def send() -> Blob:
        body = UploadBody(content, progress)
        # Prefetch the first chunks while the registry starts the upload.
        with (
            contextlib.closing(body.prefetch(0)) as chunks,
            UploadSession(transport, repository) as session,
        ):
            try:
                session.stream(body, chunks)
            except (RegistryUnavailableError, RegistryTooLargeError, RegistryForbiddenError) as error:
                chunks.close()
                transport.log(f"{error}; continuing in parts")
                session.send_parts(body)
            if digest not in {None, body.blob.digest}:
                raise BlobDigestMismatchError(f"the content has the digest {body.blob.digest}, not {digest}")
            transport.with_retry(lambda: session.commit(body.blob))
        return body.blob

    try:
        return _restart_if_lost(transport, send)
    except ContentError as error:
        raise error.cause from None


def _restart_if_lost(transport: RegistryTransport, send: Callable[[], Blob]) -> Blob:
    """Call `send` again if the session is lost: a registry that restarts may lose its uploads."""
    try:
        return transport.with_retry(send, retry_if=_is_session_lost)
    except SessionLostError as error:
        raise RegistryUnavailableError(error.message) from None


def _is_session_lost(error: CodedError) -> bool:
    return isinstance(error, SessionLostError)
