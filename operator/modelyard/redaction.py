"""Removal of credentials from URLs, so that logs and messages can contain the URLs."""

from __future__ import annotations

import re
from typing import Final
from urllib.parse import SplitResult, urlsplit, urlunsplit

URL: Final = re.compile(r"[a-z][a-z0-9+.-]{0,30}://[^\s\"'<>`]+|\bdata:[^\s\"'<>`]+", re.IGNORECASE)
"""A URL in a text. The length of the scheme is limited, so that the time for a text is linear."""

_IN_TEXT: Final = re.compile(r"[a-z0-9+.-]{1,31}://[^\s\"'<>`]+|\bdata:[^\s\"'<>`]+", re.IGNORECASE)
"""The same directly after other text, such as 50 digits: the end of that text counts as the scheme."""
_NESTED: Final = re.compile(r"[a-z][a-z0-9+.-]{0,30}:/.*", re.IGNORECASE | re.DOTALL)
"""A URL in the path of another one, which some proxies and archives have."""
_USERINFO: Final = re.compile(r"//[^/@]*@")
_INVALID_PORT: Final = re.compile(r":(?![0-9]*$)[^:\]]*$")


def redact(url: str) -> str:
    """Return the URL without the parts that may be a credential: user, query, fragment, inline data."""
    parts = split_url(url)
    if parts is None:
        return "(an unreadable url)"
    if parts.scheme == "data":
        return "data:…"
    host = host_of(parts)
    if _INVALID_PORT.search(host):
        return "(an unreadable url)"  # of user:password with an unescaped slash, the part before the slash
    path = _USERINFO.sub("//…@", _NESTED.sub("…", parts.path))
    return urlunsplit((parts.scheme, host, path, "…" if parts.query else "", ""))


def redact_text(text: str) -> str:
    """Return the text, a line of a log for example, with each URL in it redacted."""
    return _IN_TEXT.sub(lambda found: redact(found.group()), text)


def split_url(url: str) -> SplitResult | None:
    """Return the parts of a URL, None if `urlsplit` cannot read it (an unclosed bracket, for example)."""
    try:
        return urlsplit(url)
    except ValueError:
        return None


def host_of(parts: SplitResult) -> str:
    """Return the `host:port` of a URL without `user:password@`."""
    return parts.netloc.rpartition("@")[2]
