"""Which pages of other origins may score (CORS)."""

from typing import Final

from modelyard.scoring.front.messages import Request

METHODS: Final = b"GET, POST, OPTIONS"

PREFLIGHT_SECONDS: Final = 600
"""How long a browser may remember the answer."""


def cors_lines(request: Request, origins: tuple[str, ...]) -> bytes:
    """Header lines of the answer; none for a request that comes from no page, or from one that may not."""
    origin = request.headers.get(b"origin")
    if origin is None:
        return b""
    said = origin.decode("latin-1").lower()
    if "*" not in origins and all(said != allowed.lower() for allowed in origins):
        return b"vary: Origin\r\n"
    lines = b"access-control-allow-origin: %b\r\nvary: Origin\r\n" % origin
    if request.method == "OPTIONS" and b"access-control-request-method" in request.headers:
        asked = request.headers.get(b"access-control-request-headers", b"authorization, content-type")
        lines += b"access-control-allow-methods: %b\r\naccess-control-allow-headers: %b\r\n" % (
            METHODS,
            asked,
        )
        lines += b"access-control-max-age: %d\r\n" % PREFLIGHT_SECONDS
    return lines
