"""Lists: filters by name and id, one page, and the link to the next page."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Annotated, Final

from fastapi import Query

from modelyard.api.kinds import Kind
from modelyard.api.names import VersionReference, parse_version_reference
from modelyard.api.resources import CUSTOM_RESOURCES
from modelyard.api.revision import FullRevision
from modelyard.gateway import paging
from modelyard.gateway.name_mapping import possible_references
from modelyard.gateway.request_context import RequestContext
from modelyard.kube.types import Json

_COUNT_HELP: Final = "Items of one page; a filtered page, or one with large items, may have fewer."
Count = Annotated[int, Query(ge=1, le=paging.MAX_COUNT, description=_COUNT_HELP)]
SkipToken = Annotated[str | None, Query(alias="$skipToken", description="Where the page begins.")]
Filter = Annotated[str | None, Query(max_length=300)]


async def resolve_filter(context: RequestContext, kind: Kind, text: str) -> tuple[VersionReference, ...]:
    """Return what the text of a filter may refer to in the account: an id, a name or a display name."""
    client, namespace, resource = context.client, context.namespace, CUSTOM_RESOURCES[kind.name]
    references = possible_references(kind, text)
    for reference in references:
        if await client.get_or_none(resource, namespace, reference.name):
            return references
    token: str | None = None
    limit = paging.FIRST_CHUNK
    while True:
        page = await client.list_page(resource, namespace, limit, token)
        names = [body["metadata"]["name"] for body in page.items if body["spec"].get("name") == text]
        references += tuple(VersionReference(name, None) for name in names)
        token = page.continue_token
        if token is None:
            return references
        limit = page.next_limit


def is_referenced(references: Iterable[VersionReference], name: str, version: int | None) -> bool:
    """Return whether a version of a name is among the references of a filter."""
    return any(reference.name == name and reference.version in {None, version} for reference in references)


def refers(references: Iterable[VersionReference] | None, ids: Iterable[str]) -> bool:
    """Return whether one of these ids is among the references of a filter, or there is no filter."""
    if references is None:
        return True
    filtered = tuple(references)
    return any(is_referenced(filtered, *parse_version_reference(id_)) for id_ in ids)


async def list_revisions(
    context: RequestContext,
    kind: Kind,
    convert: Callable[[FullRevision], Awaitable[Json]],
    count: int,
    token: str | None,
    *,
    filters: Mapping[str, str | None],
    name: str | None = None,
    matches: Callable[[FullRevision], bool] | None = None,
) -> Json:
    """Return a page of converted revisions as `value`, with a `nextLink` if there is a next page.

    `filters` are the parameters of the query, which the link repeats; `name` and `matches` apply them.
    """
    listing_id = paging.listing_id(context.namespace, kind.plural, filters)
    cursor = paging.decode(token, listing_id)
    references = await resolve_filter(context, kind, name) if name is not None else None
    names = tuple(reference.name for reference in references or ())

    def select(body: Json) -> FullRevision | None:
        version = FullRevision.read(body)
        if version is None or (matches and not matches(version)):
            return None
        if references is not None and not is_referenced(references, version.key.name, version.version):
            return None
        return version

    found, next_cursor = await paging.collect(
        lambda limit, at: context.revisions_page(kind, names, limit, at),
        select,
        convert,
        count,
        cursor,
        filtered=matches is not None or references is not None,
    )
    return {"value": found, **next_link(context, kind, listing_id, next_cursor, count, filters)}


def next_link(
    context: RequestContext,
    kind: Kind,
    listing_id: str,
    cursor: paging.Cursor | None,
    count: int,
    filters: Mapping[str, str | None],
) -> Json:
    """Return an object with `nextLink`, or an empty one on the last page."""
    if cursor is None:
        return {}
    parameters = {**filters, "count": str(count), "$skipToken": paging.encode(cursor, listing_id)}
    query = {key: value for key, value in parameters.items() if value is not None}
    return {"nextLink": context.link(kind.plural, **query)}
