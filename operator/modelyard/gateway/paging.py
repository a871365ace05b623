"""Pages of a list, with opaque tokens and a bounded number of objects read for each page.

A token contains the API server's continue token, so a page costs the same wherever it is in the list. It also
contains a hash of the listing, so that it cannot be used for another one.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
from collections.abc import Awaitable, Callable, Iterator, Mapping
from typing import Any, Final, NamedTuple, TypeVar

import orjson

from modelyard.gateway import error_codes
from modelyard.gateway.errors import ApiError
from modelyard.kube.errors import Rejected
from modelyard.kube.types import Json, Page

DEFAULT_COUNT: Final = 100
MAX_COUNT: Final = 1000
FIRST_CHUNK: Final = 100  # objects of the first request: their size decides on the number of the next
MAX_OBJECTS_READ: Final = 5000  # for one page, which may then have few items, or none, and a link
_MAX_BYTES: Final = 4 * 1024 * 1024  # of one page; the last item may be larger
_CONCURRENT_READS: Final = 8  # of one call
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
    return ApiError(
        error_codes.INVALID_SKIP_TOKEN,
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
    convert: Callable[[T], Awaitable[Json]],
    count: int,
    cursor: Cursor,
    *,
    filtered: bool,
    max_bytes: int = _MAX_BYTES,
) -> tuple[list[orjson.Fragment], Cursor | None]:
    """Return up to `count` items and about `max_bytes` as JSON, and the cursor of the next page, if any.

    `fetch` reads a page of the API server's; `select` returns the item of an object, None to skip it.
    `convert` returns the JSON object of an item. The limit of bytes bounds the memory of a call.
    """
    found: list[orjson.Fragment] = []
    objects_read = size = 0
    limit = FIRST_CHUNK if filtered else min(count, FIRST_CHUNK)
    while True:
        page = await _fetch(fetch, limit, cursor.continue_token)
        bodies = [body for body in page.items if not cursor.after or body["metadata"]["name"] > cursor.after]
        objects_read += len(bodies)
        selected = [(body, item) for body in bodies if (item := select(body)) is not None]
        for group in _groups(selected[: count - len(found)]):
            for (body, _), content in zip(group, await _convert_all(group, convert), strict=True):
                found.append(orjson.Fragment(content))
                size += len(content)
                if (size >= max_bytes or len(found) == count) and body is not page.items[-1]:
                    return found, Cursor(cursor.continue_token, body["metadata"]["name"])
        if page.continue_token is None:
            return found, None
        cursor = Cursor(page.continue_token)
        if len(found) >= count or size >= max_bytes or objects_read >= MAX_OBJECTS_READ:
            return found, cursor
        limit = page.next_limit if filtered else min(count - len(found), page.next_limit)


def _groups(items: list[T]) -> Iterator[list[T]]:
    for start in range(0, len(items), _CONCURRENT_READS):
        yield items[start : start + _CONCURRENT_READS]


async def _convert_all(group: list[tuple[Json, T]], convert: Callable[[T], Awaitable[Json]]) -> list[bytes]:
    return [orjson.dumps(body) for body in await asyncio.gather(*(convert(item) for _, item in group))]


async def _fetch(
    fetch: Callable[[int, str | None], Awaitable[Page]], limit: int, continue_token: str | None
) -> Page:
    try:
        return await fetch(limit, continue_token)
    except Rejected as error:
        if continue_token and error.status == 400:
            raise _invalid_token() from None
        raise
