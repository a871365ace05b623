"""The registry API as the rest sees it.

Synchronous: the operator calls it in a thread, the build Job as it is.
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
from modelyard.oci.content import (
    Blob,
    Content,
)
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
    bounded,
    digest_of,
)
from modelyard.oci.transport import Transport
from modelyard.retry import Retry
from modelyard.streams.range_stream import range_header

_SMALL_BYTES: Final = 4 * 1024 * 1024


class RegistryClient:
    """Registries by the names that images give them. Safe for threads, as httpx is; close it after use.

    A `repository` is a Reference whose tag and digest do not count. Its calls raise RegistryUnavailableError
    after bounded retries, RegistryForbiddenError, RegistryNotFoundError, RegistryTooLargeError and
    RegistryRefusedError.
    """

    def __init__(
        self,
        access: RegistryAccess,
        *,
        credential: Credential | None = None,
        retry: Retry | None = None,
        log: Callable[[str], None] | None = None,
    ) -> None:
        """`credential` takes the place of those that `access` knows; `log` is told of what is tried again."""
        self._transport = Transport(access, credential=credential, retry=retry or Retry(attempts=3), log=log)
        self._reserved = upload_session.Reserved(self._transport)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        self._reserved.cancel()
        self._transport.close()

    def resolve(self, image: str) -> str | None:
        """The digest that `registry/path:tag` has now, or None when the registry has no such image."""
        try:
            return manifests.resolve(self._transport, parse_reference(image))
        except RegistryNotFoundError:
            return None

    def manifest(self, reference: Reference) -> tuple[dict[str, Any], str]:
        """The manifest and its digest; verified when the reference has one."""
        body = manifests.read(self._transport, reference)
        return manifests.parse(body, reference), digest_of(body)

    def manifest_bytes(self, reference: Reference) -> bytes:
        """The manifest as it was pushed: its digest is of these bytes."""
        return manifests.read(self._transport, reference)

    def put_manifest(self, repository: Reference, body: bytes, media_type: str, *, tag: str | None) -> str:
        """The digest; its blobs must be there. Without a tag it is found by its digest alone."""
        manifests.write(self._transport, repository, body, media_type, tag)
        return digest_of(body)

    def put_referrers(self, repository: Reference, bodies: Sequence[bytes], media_type: str) -> None:
        """Manifests of one `subject`, which are among its referrers afterwards, in any registry."""
        referrers.put(self._transport, repository, bodies, media_type)

    def delete_manifest(self, repository: Reference, digest: str) -> bool:
        """False where the registry has deletion switched off."""
        return manifests.delete(self._transport, repository, digest)

    def delete_tag(self, repository: Reference, tag: str) -> bool:
        """What it named stays. False where the registry takes no tags away, or deletes nothing."""
        return manifests.delete(self._transport, repository, tag)

    def referrers(
        self, repository: Reference, digest: str, artifact_type: str | None = None
    ) -> list[Descriptor]:
        """Descriptors of the manifests whose `subject` has the digest, all or of one type."""
        return referrers.referrers(self._transport, repository, digest, artifact_type)

    def tags(self, repository: Reference) -> Iterator[str]:
        """Of a repository that may not be there; `sha256-…` are indices of referrers, where they must be."""
        return pagination.tags(self._transport, repository)

    def repositories(self, registry: str) -> Iterator[str]:
        """Paths of all that the credentials may see; many hosted registries refuse to list them."""
        return pagination.repositories(self._transport, registry)

    @contextmanager
    def blob(
        self, reference: Reference, digest: str, *, offset: int = 0, size: int | None = None
    ) -> Iterator[httpx.Response]:
        """One try at a blob of `size` bytes, its body still unread; from `offset` if the answer is 206."""
        headers = {"Accept-Encoding": "identity"} | range_header(offset, size)
        url = self._transport.of(reference, f"blobs/{digest}")
        with self._transport.request("GET", url, reference, headers=headers) as response:
            yield response

    def blob_bytes(self, repository: Reference, digest: str) -> bytes:
        """A small blob, an image's config say, of at most 4 MiB; verified."""

        def read() -> bytes:
            with self.blob(repository, digest) as response:
                return bounded(response, _SMALL_BYTES, f"the blob {digest} of {repository}")

        body = self._transport.retried(read)
        if digest_of(body) != digest:
            raise RegistryRefusedError(f"the blob {digest} of {repository} has the digest {digest_of(body)}")
        return body

    def has_blob(self, repository: Reference, digest: str) -> bool:
        return upload_session.has_blob(self._transport, repository, digest)

    def mount(self, repository: Reference, digest: str, source: str) -> bool:
        """Share a blob of the repository with the path `source` in the same registry; False when refused."""
        return uploads.mount(self._transport, repository, digest, source)

    def upload(
        self,
        repository: Reference,
        content: Content,
        *,
        digest: str | None = None,
        progress: Callable[[int], None] | None = None,
    ) -> Blob:
        """Send the content while it is read and hashed, in a few MiB of memory; 16 more after a break.

        `progress` is told how many of the content's bytes are sent. Raises BlobDigestMismatchError unless they
        have the digest, if one is given, and what the content raises; then nothing is left in the registry.
        """
        return uploads.upload(self._transport, repository, content, digest=digest, progress=progress)

    def reserve(self, repository: Reference, count: int) -> None:
        """Begin so many uploads of small blobs to come, which then take one request each, not two."""
        self._reserved.fill(repository, count)

    def upload_bytes(self, repository: Reference, data: bytes) -> Blob:
        """A small blob, in one piece."""
        return uploads.upload_bytes(self._transport, repository, data, self._reserved)

    def copy(
        self,
        source: Reference,
        target: Reference,
        digest: str,
        size: int,
        progress: Callable[[int], None] | None = None,
    ) -> None:
        """A blob from one registry to another, streamed and verified; `size` in bytes."""
        content = BlobSource(self._transport, source, digest, size)
        self.upload(target, content, digest=digest, progress=progress)
