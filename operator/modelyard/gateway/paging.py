"""Pages of a listing: opaque tokens, bounded work.

A token holds where the API server goes on, so a page costs the same wherever it is, and says which listing it
belongs to.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final, NamedTuple, TypeVar

import orjson

from modelyard.gateway.cluster import Page
from modelyard.gateway.errors import ApiError, bad_request
from modelyard.kube.errors import Rejected
from modelyard.kube.types import Json

DEFAULT_COUNT: Final = 100
MAX_COUNT: Final = 1000
_CHUNK: Final = 500  # objects asked for at once when a filter will leave most of them out
_MOST_LOOKED_AT: Final = 5000  # objects for one answer: a page may then have fewer items, or none, and a link
_LONGEST: Final = 8192  # characters of a token
_FORMAT: Final = 1

T = TypeVar("T")


class Cursor(NamedTuple):
    """Where the next page begins: in the API server's listing, and after which object there."""

    continue_: str | None
    after: str | None = None


def listing(namespace: str, plural: str, filters: Mapping[str, str | None]) -> str:
    """A short hash of what is listed."""
    said = orjson.dumps(
        [namespace, plural, sorted((key, value) for key, value in filters.items() if value is not None)]
    )
    return hashlib.sha256(said).hexdigest()[:12]


def encode(cursor: Cursor, of: str) -> str:
    """The token of a cursor."""
    text = orjson.dumps([_FORMAT, of, cursor.continue_, cursor.after])
    return base64.urlsafe_b64encode(text).decode().rstrip("=")


def decode(token: str | None, of: str) -> Cursor:
    """The cursor of a token; ApiError 400 when it is none of this listing."""
    if token is None:
        return Cursor(None)
    match _json_of(token):
        case [format_, listed, (str() | None) as continue_, (str() | None) as after] if (
            format_,
            listed,
        ) == (_FORMAT, of):
            return Cursor(continue_, after)
    raise _invalid()


def _invalid() -> ApiError:
    return bad_request(
        "InvalidSkipToken",
        "the $skipToken is not one of this listing: follow nextLink as it is, or begin at the first page",
    )


def _json_of(token: str) -> Any:
    if len(token) > _LONGEST:
        return None
    try:
        return orjson.loads(base64.b64decode(token + "=" * (-len(token) % 4), altchars=b"-_", validate=True))
    except ValueError:
        return None


async def collect(
    fetch: Callable[[int, str | None], Awaitable[Page]],
    keep: Callable[[Json], T | None],
    count: int,
    cursor: Cursor,
    *,
    filtered: bool,
) -> tuple[list[T], Cursor | None]:
    """`count` things that `keep` makes of the listing's objects, and the next cursor; None at the end."""
    found: list[T] = []
    looked_at = 0
    while True:
        page = await _fetch(fetch, _CHUNK if filtered else count, cursor.continue_)
        for body in page.items:
            name = body["metadata"]["name"]
            if cursor.after and name <= cursor.after:
                continue
            looked_at += 1
            if (kept := keep(body)) is None:
                continue
            found.append(kept)
            if len(found) == count and body is not page.items[-1]:
                return found, Cursor(cursor.continue_, name)
        if page.next is None:
            return found, None
        cursor = Cursor(page.next)
        if len(found) >= count or looked_at >= _MOST_LOOKED_AT:
            return found, cursor


async def _fetch(
    fetch: Callable[[int, str | None], Awaitable[Page]], limit: int, continue_: str | None
) -> Page:
    try:
        return await fetch(limit, continue_)
    except Rejected as error:
        if continue_ and error.status == 400:
            raise _invalid() from None
        raise


def query_of(parameters: Mapping[str, str | int | None]) -> dict[str, str]:
    """Query parameters that were given."""
    return {key: str(value) for key, value in parameters.items() if value is not None}
