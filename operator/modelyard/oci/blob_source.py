"""A blob of a registry as something to upload to another one."""

from __future__ import annotations

from collections.abc import Iterator

from modelyard.oci.errors import RegistryUnavailableError
from modelyard.oci.reference import Reference
from modelyard.oci.transport import Transport
from modelyard.streams.range_stream import (
    WrongRangeError,
    range_header,
    range_stream,
)


class BlobSource:
    """Content whose reading goes on where a connection broke."""

    def __init__(self, transport: Transport, repository: Reference, digest: str, size: int) -> None:
        self._transport = transport
        self._repository = repository
        self._digest = digest
        self.size = size

    def open(self, offset: int) -> Iterator[bytes]:
        """Raises RegistryError and its kinds."""
        return self._transport.retry.resumed(self._read, offset, on_retry=self._transport.tell)

    def _read(self, offset: int) -> Iterator[bytes]:
        if offset == self.size:
            return
        url = self._transport.of(self._repository, f"blobs/{self._digest}")
        headers = {"Accept-Encoding": "identity"} | range_header(offset, self.size)
        with self._transport.request("GET", url, self._repository, headers=headers) as response:
            try:
                yield from range_stream(response, offset).rest(offset)
            except WrongRangeError as error:
                raise RegistryUnavailableError(f"{self._repository}: {error}") from None
