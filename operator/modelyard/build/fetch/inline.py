"""`data:` URLs: https://www.rfc-editor.org/rfc/rfc2397."""

from __future__ import annotations

import base64
import binascii
from urllib.parse import unquote_to_bytes

from modelyard.build.errors import SourceInvalidError


def data_of(url: str) -> bytes:
    """The bytes that the URL carries; raises SourceInvalidError."""
    head, comma, data = url.partition(",")
    if not comma:
        raise SourceInvalidError("the data url has no comma before its data")
    content = unquote_to_bytes(data)
    if not head.lower().endswith(";base64"):
        return content
    try:
        return base64.b64decode(content, validate=True)
    except binascii.Error:
        raise SourceInvalidError("the data url is not valid base64") from None
