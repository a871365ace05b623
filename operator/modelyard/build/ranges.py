"""Reading on where a file broke off: https://www.rfc-editor.org/rfc/rfc9110#name-range-requests."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import httpx

_CHUNK_BYTES: Final = 1024 * 1024


class WrongRangeError(Exception):
    """The server sent another range of the file than was asked for."""


def range_header(offset: int) -> dict[str, str]:
    """What to ask with, for the bytes from `offset` on."""
    return {"Range": f"bytes={offset}-"} if offset else {}


def body_from(response: httpx.Response, offset: int) -> Iterator[bytes]:
    """The file's bytes from `offset` on, in chunks of 1 MiB; those before it, if they are sent, are dropped.

    Raises WrongRangeError, and httpx.TransportError when the connection breaks.
    """
    skip = offset
    if response.status_code == 206:
        if not response.headers.get("content-range", "").startswith(f"bytes {offset}-"):
            raise WrongRangeError("the server sent another range of the file than was asked for")
        skip = 0
    for chunk in response.iter_raw(_CHUNK_BYTES):
        if skip < len(chunk):
            yield chunk[skip:] if skip else chunk
        skip = max(0, skip - len(chunk))
