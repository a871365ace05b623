"""Listings: filters by names and ids, a page, and its link."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Annotated, Final, TypeVar

from fastapi import Query

from modelyard.api.kinds import Kind
from modelyard.api.names import VersionReference, parse_version_reference
from modelyard.api.resources import CUSTOM_RESOURCES
from modelyard.api.revision import Revision
from modelyard.gateway import paging
from modelyard.gateway.name_mapping import meanings
from modelyard.gateway.request_context import Exchange
from modelyard.kube.types import Json

Count = Annotated[
    int, Query(ge=1, le=paging.MAX_COUNT, description="Items of one page; a filtered page may have fewer.")
]
SkipToken = Annotated[str | None, Query(alias="$skipToken", description="Where the page begins.")]
Filter = Annotated[str | None, Query(max_length=300)]
_AT_ONCE: Final = 8  # reads of one call that are under way together
_CHUNK: Final = 500

T = TypeVar("T")
U = TypeVar("U")


async def named(call: Exchange, kind: Kind, text: str) -> tuple[VersionReference, ...]:
    """What a name, an id or a display name means in this account."""
    references = meanings(kind, text)
    for reference in references:
        if await call.caller.find(CUSTOM_RESOURCES[kind.name], reference.name):
            return references
    at: str | None = None
    while True:
        page = await call.caller.page(CUSTOM_RESOURCES[kind.name], _CHUNK, at)
        found = [body["metadata"]["name"] for body in page.items if body["spec"].get("name") == text]
        references += tuple(VersionReference(name, None) for name in found)
        if page.next is None:
            return references
        at = page.next


def any_of(references: Iterable[VersionReference], name: str, version: int | None) -> bool:
    """Whether a name and its version are among what a filter means."""
    return any(reference.name == name and reference.version in {None, version} for reference in references)


def refers(references: Iterable[VersionReference] | None, ids: Iterable[str]) -> bool:
    """Whether one of these ids is what a filter means; any is when there is no filter."""
    if references is None:
        return True
    wanted = tuple(references)
    return any(any_of(wanted, *parse_version_reference(id_)) for id_ in ids)


async def versions(
    call: Exchange,
    kind: Kind,
    count: int,
    token: str | None,
    *,
    filters: Mapping[str, str | None],
    name: str | None = None,
    keep: Callable[[Revision], bool] | None = None,
) -> tuple[list[Revision], Json]:
    """A page of versions, and its link as a part of the answer; `filters` are those of the query."""
    of = paging.listing(call.caller.namespace, kind.plural, filters)
    cursor = paging.decode(token, of)
    references = await named(call, kind, name) if name is not None else None
    names = tuple(reference.name for reference in references or ())

    def chosen(body: Json) -> Revision | None:
        version = Revision.read(body)
        if version is None or (keep and not keep(version)):
            return None
        named_so = references is None or any_of(references, version.key.name, version.version)
        return version if named_so else None

    found, following = await paging.collect(
        lambda limit, at: call.versions_page(kind, names, limit, at),
        chosen,
        count,
        cursor,
        filtered=keep is not None or references is not None,
    )
    return found, link(call, kind, of, following, count, filters)


def link(
    call: Exchange,
    kind: Kind,
    of: str,
    following: paging.Cursor | None,
    count: int,
    filters: Mapping[str, str | None],
) -> Json:
    """`nextLink` as a part of the answer: absent on the last page."""
    if following is None:
        return {}
    query = paging.query_of({**filters, "count": count, "$skipToken": paging.encode(following, of)})
    return {"nextLink": call.link(kind.plural, **query)}


async def each(items: Iterable[T], make: Callable[[T], Awaitable[U]]) -> list[U]:
    """What `make` makes of each item, in order, a few at once."""
    slots = asyncio.Semaphore(_AT_ONCE)

    async def one(item: T) -> U:
        async with slots:
            return await make(item)

    return list(await asyncio.gather(*(one(item) for item in items)))
