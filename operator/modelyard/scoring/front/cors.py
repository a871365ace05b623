"""Cross-origin requests (CORS): header lines that let web pages of other origins call the service."""

import re
from typing import Final

from modelyard.scoring.front.messages import HttpRequest

METHODS: Final = b"GET, POST, OPTIONS"

PREFLIGHT_SECONDS: Final = 600
"""How long a browser may cache the response to a preflight request."""


MAX_ORIGIN_BYTES: Final = 300
"""A longer origin is not allowed: a host name has 255 bytes, and a pattern may take long on a long text."""


def cors_lines(request: HttpRequest, origins: tuple[re.Pattern[str], ...]) -> bytes:
    """Return the CORS header lines of the response; none if the request has no Origin header."""
    origin = request.headers.get(b"origin")
    if origin is None:
        return b""
    name = origin[: MAX_ORIGIN_BYTES + 1].decode("latin-1")
    if len(name) > MAX_ORIGIN_BYTES or not any(allowed.fullmatch(name) for allowed in origins):
        return b"vary: Origin\r\n"
    lines = b"access-control-allow-origin: %b\r\nvary: Origin\r\n" % origin
    if request.method == "OPTIONS" and b"access-control-request-method" in request.headers:
        headers = request.headers.get(b"access-control-request-headers", b"authorization, content-type")
        lines += b"access-control-allow-methods: %b\r\naccess-control-allow-headers: %b\r\n" % (
            METHODS,
            headers,
        )
        lines += b"access-control-max-age: %d\r\n" % PREFLIGHT_SECONDS
    return lines
