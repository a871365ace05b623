"""The registry client: one method per operation of the registry API.

The client is synchronous. The operator calls it in threads, the build Job directly.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from types import TracebackType
from typing import Any, Final, Self

import httpx

from modelyard.oci import (
    manifests,
    pagination,
    referrers,
    upload_session,
    uploads,
)
from modelyard.oci.blob_source import BlobSource
from modelyard.oci.errors import (
    RegistryNotFoundError,
    RegistryRefusedError,
)
from modelyard.oci.media_types import Descriptor
from modelyard.oci.reference import (
    Reference,
    parse_reference,
)
from modelyard.oci.registry_config import (
    Credential,
    RegistryAccess,
)
from modelyard.oci.responses import (
    digest_of,
    read_bounded,
)
from modelyard.oci.transport import DEFAULT_TIMEOUT, RegistryTransport
from modelyard.oci.upload_body import Blob
from modelyard.retry import Retry
from modelyard.streams.range_stream import range_header
from modelyard.streams.readable import ReadableAt

_SMALL_BLOB_BYTES: Final = 4 * 1024 * 1024


class RegistryClient:
    """A thread-safe client of all registries. Close it after use.

    A parameter `repository` is a Reference whose tag and digest are ignored. Every method retries transient
    errors, and raises RegistryUnavailableError once its attempts are used up. Other errors, which methods
    raise at once, are RegistryForbiddenError, RegistryNotFoundError, RegistryTooLargeError and
    RegistryRefusedError.
    """

    def __init__(
        self,
        access: RegistryAccess,
        *,
        credential: Credential | None = None,
        retry: Retry | None = None,
        log: Callable[[str], None] | None = None,
        timeout: httpx.Timeout = DEFAULT_TIMEOUT,
        check: Callable[[httpx.URL], None] | None = None,
    ) -> None:
        """`credential` replaces the credentials of `access`. `log` receives a line for each retry.

        `timeout` bounds the connect and each read of a request, but not those of an upload. `check` is called
        with the URL of each request, also of redirects and of token services. Its errors are raised.
        """
        self._transport = RegistryTransport(
            access,
            credential=credential,
            retry=retry or Retry(attempts=3),
            log=log,
            timeout=timeout,
            check=check,
        )
        self._reserved = upload_session.ReservedUploads(self._transport)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Cancel the reserved uploads that are left, and close all connections."""
        self._reserved.cancel()
        self._transport.close()

    def resolve(self, image: str) -> str | None:
        """Return the current digest of `registry/path:tag`, None if the registry has no such image."""
        try:
            return manifests.resolve(self._transport, parse_reference(image))
        except RegistryNotFoundError:
            return None

    def manifest(self, reference: Reference) -> tuple[dict[str, Any], str]:
        """Return a manifest and its digest, which is verified if the reference has a digest."""
        body = manifests.get(self._transport, reference)
        return manifests.parse(body, reference), digest_of(body)

    def manifest_bytes(self, reference: Reference) -> bytes:
        """Return a manifest as the bytes that were pushed, because its digest is the hash of these bytes."""
        return manifests.get(self._transport, reference)

    def put_manifest(self, repository: Reference, body: bytes, media_type: str, *, tag: str | None) -> str:
        """Push a manifest and return its digest. Without a tag, it is found by its digest only.

        Push the blobs of the manifest before.
        """
        manifests.put(self._transport, repository, body, media_type, tag)
        return digest_of(body)

    def put_referrers(self, repository: Reference, bodies: Sequence[bytes], media_type: str) -> None:
        """Push manifests with one `subject`, and list them as its referrers if the registry does not."""
        referrers.put(self._transport, repository, bodies, media_type)

    def delete_manifest(self, repository: Reference, digest: str) -> bool:
        """Delete a manifest. Returns False if deletion is disabled in the registry."""
        return manifests.delete(self._transport, repository, digest)

    def delete_tag(self, repository: Reference, tag: str) -> bool:
        """Delete a tag but not its manifest. Returns False if the registry does not delete tags."""
        return manifests.delete(self._transport, repository, tag)

    def referrers(
        self, repository: Reference, digest: str, artifact_type: str | None = None
    ) -> list[Descriptor]:
        """Return the descriptors of the manifests whose `subject` has the digest, of all types by default."""
        return referrers.referrers(self._transport, repository, digest, artifact_type)

    def tags(self, repository: Reference) -> Iterator[str]:
        """Yield the tags of a repository, none if the repository does not exist.

        In registries without a referrers API, tags of the form `sha256-…` are indexes of referrers.
        """
        return pagination.tags(self._transport, repository)

    def repositories(self, registry: str) -> Iterator[str]:
        """Yield the paths of the repositories that the credentials may list.

        Many hosted registries refuse to list repositories.
        """
        return pagination.repositories(self._transport, registry)

    @contextmanager
    def open_blob(
        self, reference: Reference, digest: str, *, offset: int = 0, size: int | None = None
    ) -> Iterator[httpx.Response]:
        """Request a blob of `size` bytes in one attempt, and return the response with its body unread.

        The body begins at `offset` if the status is 206, and at 0 if the registry ignores ranges.
        """
        headers = {"Accept-Encoding": "identity"} | range_header(offset, size)
        url = self._transport.repository_url(reference, f"blobs/{digest}")
        with self._transport.request("GET", url, reference, headers=headers) as response:
            yield response

    def blob_bytes(self, repository: Reference, digest: str) -> bytes:
        """Return a blob of at most 4 MiB, the config of an image for example. Its digest is verified."""

        def get() -> bytes:
            with self.open_blob(repository, digest) as response:
                return read_bounded(response, _SMALL_BLOB_BYTES, f"the blob {digest} of {repository}")

        body = self._transport.with_retry(get)
        if digest_of(body) != digest:
            raise RegistryRefusedError(f"the blob {digest} of {repository} has the digest {digest_of(body)}")
        return body

    def has_blob(self, repository: Reference, digest: str) -> bool:
        """Return whether a repository has a blob."""
        return upload_session.has_blob(self._transport, repository, digest)

    def mount_blob(self, repository: Reference, digest: str, source: str) -> bool:
        """Mount a blob of the repository with the path `source` in the same registry.

        Returns False if the registry refuses.
        """
        return uploads.mount(self._transport, repository, digest, source)

    def upload(
        self,
        repository: Reference,
        content: ReadableAt,
        *,
        digest: str | None = None,
        progress: Callable[[int], None] | None = None,
    ) -> Blob:
        """Upload a blob of any size, hashed while it is read and sent.

        It takes a few MiB of memory, and 16 MiB more once the client sends parts. `progress` receives the
        number of bytes sent so far. Raises BlobDigestMismatchError if the content does not have the given
        digest, and the errors of the content. After an error, the upload is cancelled in the registry.
        """
        return uploads.upload(self._transport, repository, content, digest=digest, progress=progress)

    def reserve_uploads(self, repository: Reference, count: int) -> None:
        """Start `count` uploads in advance: each saves one request of a later `upload_bytes`."""
        self._reserved.reserve(repository, count)

    def upload_bytes(self, repository: Reference, data: bytes) -> Blob:
        """Upload a small blob in one piece."""
        return uploads.upload_bytes(self._transport, repository, data, self._reserved)

    def copy_blob(
        self,
        source: Reference,
        target: Reference,
        digest: str,
        size: int,
        progress: Callable[[int], None] | None = None,
    ) -> None:
        """Stream a blob of `size` bytes from one repository to another, and verify its digest."""
        content = BlobSource(self._transport, source, digest, size)
        self.upload(target, content, digest=digest, progress=progress)
