"""The path and query of a URL as its author wrote them.

A signature may cover the exact characters: `%2f` is then not `%2F`, although both have one meaning.
"""

from __future__ import annotations

import re
from typing import Final

_URL: Final = re.compile(r"https?://[^/?#]+(?P<target>[^#]*)", re.IGNORECASE)
_REQUEST_LINE: Final = re.compile(r"[!-\[\]-~]+")
"""Visible ASCII without the backslash, which clients take for a slash."""


def request_target(url: str) -> bytes | None:
    """Return the path and query of an http(s) URL, or of a location that begins with one slash.

    Returns None for another location, and for a URL with characters that have to be encoded.
    """
    if not _REQUEST_LINE.fullmatch(url):
        return None
    if found := _URL.match(url):
        target = found["target"]
    elif url.startswith("/") and not url.startswith("//"):
        target = url.partition("#")[0]
    else:
        return None
    return (target if target.startswith("/") else f"/{target}").encode("ascii")
