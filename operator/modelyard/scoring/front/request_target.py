"""Paths of request targets with a scheme, escapes or repeated slashes (RFC 9112 section 3.2)."""

import re
from typing import Final
from urllib.parse import unquote

_SCHEME_AND_AUTHORITY: Final = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://[^/]*")
_SLASHES: Final = re.compile(r"//+")


def origin_path(path: str) -> str:
    """Return the path of a target without scheme and authority: `/score` for `http://host/score`.

    Servers must accept such targets (RFC 9112 section 3.2.2): some clients send them to a proxy.
    """
    if path.startswith("/"):
        return path
    match = _SCHEME_AND_AUTHORITY.match(path)
    return path[match.end() :] or "/" if match else path


def canonical_path(path: str) -> str:
    """Return the path of a target, decoded and with single slashes: `/score` for `//%73core`."""
    return _SLASHES.sub("/", unquote(origin_path(path)))
