"""Headers of a response that explain other bytes, or another file name, than an author expects."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final
from urllib.parse import unquote

import httpx

_FILE_NAME: Final = re.compile(r"""filename\*?\s*=\s*(?:[\w-]+'[\w-]*')?"?([^";]+)""", re.IGNORECASE)
"""https://www.rfc-editor.org/rfc/rfc6266#section-4.1"""
_CHARACTERS: Final = 100


def response_notes(response: httpx.Response, name: str | None) -> Iterator[str]:
    """Yield the end of a sentence about the URL per header to report. `name` is the file name of the URL."""
    encoding = response.headers.get("content-encoding", "").strip()[:_CHARACTERS]
    if encoding.lower() not in {"", "identity"}:
        yield (
            f"is sent with Content-Encoding {encoding!r}, although the build accepts identity only: the"
            " file has the encoded bytes"
        )
    found = _FILE_NAME.search(response.headers.get("content-disposition", ""))
    declared = unquote(found[1]).strip()[:_CHARACTERS] if found else None
    if declared and declared != name:
        yield (
            f"is named {declared!r} by the server: the name in the url counts. End the path of the url"
            " with the name that the driver needs"
        )
