"""Cross-origin requests (CORS): header lines that let web pages of other origins call /score."""

from typing import Final

from modelyard.scoring.front.messages import HttpRequest

METHODS: Final = b"GET, POST, OPTIONS"

PREFLIGHT_SECONDS: Final = 600
"""How long a browser may cache the response to a preflight request."""


def cors_lines(request: HttpRequest, origins: tuple[str, ...]) -> bytes:
    """Return the CORS header lines of the response; none if the request has no Origin header."""
    origin = request.headers.get(b"origin")
    if origin is None:
        return b""
    name = origin.decode("latin-1").lower()
    if "*" not in origins and all(name != allowed.lower() for allowed in origins):
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
