"""Content in the request: inline content, and `data:` URLs (https://www.rfc-editor.org/rfc/rfc2397)."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import unquote_to_bytes

from modelyard.builder.sources.context import FetchContext
from modelyard.contract.build_request import Source
from modelyard.contract.errors import SourceInvalidError
from modelyard.streams.range_stream import RangeStream


class InlineFile:
    """A RemoteFile with its content in the request. It has no name."""

    name = None

    def __init__(self, content: bytes, digest: str | None) -> None:
        self.digest = digest
        self._content = content

    @contextmanager
    def open(self, offset: int) -> Iterator[RangeStream]:
        """Open the file from `offset` on, see RemoteFile."""
        yield RangeStream(offset, len(self._content), iter([self._content[offset:]]))


@contextmanager
def inline_file(source: Source, _context: FetchContext) -> Iterator[InlineFile]:
    """Open inline content or a data URL. Raises SourceInvalidError for a malformed URL."""
    content = (source.content or "").encode() if source.url is None else data_of(source.url)
    yield InlineFile(content, source.digest)


def data_of(url: str) -> bytes:
    """Return the bytes in a data URL. Raises SourceInvalidError for a malformed URL."""
    head, comma, data = url.partition(",")
    if not comma:
        raise SourceInvalidError("the data url has no comma: write data:,text or data:;base64,bytes")
    content = unquote_to_bytes(data)
    if not head.lower().endswith(";base64"):
        return content
    try:
        return base64.b64decode(b"".join(content.split()), validate=True)  # lines of YAML or `base64`
    except binascii.Error:
        raise SourceInvalidError(
            "the data url is not valid base64: encode the bytes with `base64 -w0`"
        ) from None
