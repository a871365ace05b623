"""A blob of a registry as the content of an upload to another registry."""

from __future__ import annotations

from collections.abc import Iterator

from modelyard.oci.errors import RegistryUnavailableError
from modelyard.oci.reference import Reference
from modelyard.oci.transport import RegistryTransport
from modelyard.streams.range_stream import (
    WrongRangeError,
    range_header,
    range_stream,
)


class BlobSource:
    """A ReadableAt over a blob of `size` bytes. Reading resumes where a connection broke."""

    def __init__(self, transport: RegistryTransport, repository: Reference, digest: str, size: int) -> None:
        self._transport = transport
        self._repository = repository
        self._digest = digest
        self.size = size

    def open(self, offset: int) -> Iterator[bytes]:
        """Return the bytes from `offset` on, in chunks. Reading them raises RegistryError."""
        return self._transport.retry.resumed(self._read, offset, on_retry=self._transport.log)

    def _read(self, offset: int) -> Iterator[bytes]:
        if offset == self.size:
            return
        url = self._transport.repository_url(self._repository, f"blobs/{self._digest}")
        headers = {"Accept-Encoding": "identity"} | range_header(offset, self.size)
        with self._transport.request("GET", url, self._repository, headers=headers) as response:
            try:
                yield from range_stream(response, offset).rest(offset)
            except WrongRangeError as error:
                raise RegistryUnavailableError(f"{self._repository}: {error}") from None
