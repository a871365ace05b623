"""Pages of a list, with opaque tokens and a bounded number of objects read for each page.

A token contains the API server's continue token, so a page costs the same wherever it is in the list. It also
contains a hash of the listing, so that it cannot be used for another one.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final, NamedTuple, TypeVar

import orjson

from modelyard.gateway.errors import ApiError, bad_request
from modelyard.kube.errors import Rejected
from modelyard.kube.types import Json, Page

DEFAULT_COUNT: Final = 100
MAX_COUNT: Final = 1000
CHUNK: Final = 500  # objects of one request, where a filter selects only a few of them
_MAX_OBJECTS_READ: Final = 5000  # for one page, which may then have few items, or none, and a link
_MAX_TOKEN_LENGTH: Final = 8192
_FORMAT: Final = 1

T = TypeVar("T")


class Cursor(NamedTuple):
    """The start of the next page: the API server's continue token, and the last name before it."""

    continue_token: str | None
    after: str | None = None


def listing_id(namespace: str, plural: str, filters: Mapping[str, str | None]) -> str:
    """Return a short hash of the collection and the filters of a list."""
    used = sorted((key, value) for key, value in filters.items() if value is not None)
    return hashlib.sha256(orjson.dumps([namespace, plural, used])).hexdigest()[:12]


def encode(cursor: Cursor, listing: str) -> str:
    """Return the token of a cursor."""
    text = orjson.dumps([_FORMAT, listing, cursor.continue_token, cursor.after])
    return base64.urlsafe_b64encode(text).decode().rstrip("=")


def decode(token: str | None, listing: str) -> Cursor:
    """Return the cursor of a token. Raises ApiError 400 if the token is not of this listing."""
    if token is None:
        return Cursor(None)
    content = _decode_json(token)
    if not isinstance(content, list) or len(content) != 4 or content[:2] != [_FORMAT, listing]:
        raise _invalid_token()
    continue_token, after = content[2:]
    if not isinstance(continue_token, str | None) or not isinstance(after, str | None):
        raise _invalid_token()
    return Cursor(continue_token, after)


def _invalid_token() -> ApiError:
    return bad_request(
        "InvalidSkipToken",
        "the $skipToken is not one of this list: follow nextLink as it is, or begin at the first page",
    )


def _decode_json(token: str) -> Any:
    if len(token) > _MAX_TOKEN_LENGTH:
        return None
    try:
        return orjson.loads(base64.b64decode(token + "=" * (-len(token) % 4), altchars=b"-_", validate=True))
    except ValueError:
        return None


async def collect(
    fetch: Callable[[int, str | None], Awaitable[Page]],
    select: Callable[[Json], T | None],
    count: int,
    cursor: Cursor,
    *,
    filtered: bool,
) -> tuple[list[T], Cursor | None]:
    """Return up to `count` items and the cursor of the next page, None at the end of the list.

    `fetch` reads a page of the API server's; `select` returns the item of an object, None to skip it.
    """
    selected: list[T] = []
    objects_read = 0
    while True:
        page = await _fetch(fetch, CHUNK if filtered else count, cursor.continue_token)
        for body in page.items:
            name = body["metadata"]["name"]
            if cursor.after and name <= cursor.after:
                continue
            objects_read += 1
            item = select(body)
            if item is None:
                continue
            selected.append(item)
            if len(selected) == count and body is not page.items[-1]:
                return selected, Cursor(cursor.continue_token, name)
        if page.continue_token is None:
            return selected, None
        cursor = Cursor(page.continue_token)
        if len(selected) >= count or objects_read >= _MAX_OBJECTS_READ:
            return selected, cursor


async def _fetch(
    fetch: Callable[[int, str | None], Awaitable[Page]], limit: int, continue_token: str | None
) -> Page:
    try:
        return await fetch(limit, continue_token)
    except Rejected as error:
        if continue_token and error.status == 400:
            raise _invalid_token() from None
        raise
