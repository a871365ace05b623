"""The routes of deployments, which are the versions of services."""

from __future__ import annotations

from typing import Final

from fastapi import Response

from modelyard.api.kinds import SERVICE
from modelyard.api.labels import revision_name
from modelyard.api.revision import FullRevision
from modelyard.api.status import State
from modelyard.gateway import error_codes, from_kubernetes, paging, schemas
from modelyard.gateway.errors import ApiError, not_found
from modelyard.gateway.listing import Filter, is_referenced, resolve_filter
from modelyard.gateway.request_context import Context, RequestContext
from modelyard.gateway.routes.responses import LIST_SLOT, json, ok_response, router
from modelyard.kube.types import Json

routes = router("deployments")
_MAX_BYTES: Final = 8 * 1024 * 1024  # this list has no pages: about 7000 deployments


@routes.get(
    "/deployments",
    responses=ok_response(list[schemas.Deployment]),
    dependencies=[LIST_SLOT],
    operation_id="queryDeployments",
)
async def query_deployments(context: Context, serviceId: Filter = None) -> Response:  # noqa: N803 (the API's name)
    """List all deployments of the account, or those of a service."""
    references = None if serviceId is None else await resolve_filter(context, SERVICE, serviceId)
    names = tuple(reference.name for reference in references or ())

    def select(body: Json) -> FullRevision | None:
        version = FullRevision.read(body)
        if version is None or references is None:
            return version
        return version if is_referenced(references, version.key.name, version.version) else None

    keys: list[tuple[str, int]] = []

    async def convert(version: FullRevision) -> Json:
        keys.append((version.key.name, version.version))
        return await _body(context, version)

    found, next_cursor = await paging.collect(
        lambda limit, token: context.revisions_page(SERVICE, names, limit, token),
        select,
        convert,
        paging.MAX_OBJECTS_READ,
        paging.Cursor(None),
        filtered=True,
        max_bytes=_MAX_BYTES,
    )
    if next_cursor is not None:
        message = f"there are more than {len(found)} deployments: set serviceId to list those of one service"
        raise ApiError(error_codes.TOO_MANY_DEPLOYMENTS, message)
    in_order = sorted(zip(keys, found, strict=True), key=lambda pair: pair[0])
    return json([body for _, body in in_order])


@routes.get("/deployments/{id}", responses=ok_response(schemas.Deployment), operation_id="getDeployment")
async def get_deployment(context: Context, id: str) -> Response:  # noqa: A002 (the API's name)
    """Get a deployment."""
    version = await context.revision(id)
    if version is None or version.kind is not SERVICE:
        raise not_found(error_codes.DEPLOYMENT_NOT_FOUND, id)
    return json(await _body(context, version))


async def _body(context: RequestContext, version: FullRevision) -> Json:
    status = await context.operation_status(version)
    return from_kubernetes.deployment(version, status.state, await _expiry(context, version))


async def _expiry(context: RequestContext, version: FullRevision) -> str | None:
    """Return the time (RFC 3339) since which a version is not served, None while it may be served.

    A version that was rolled out serves until the rollout of a later one has succeeded. Another version
    expires when its successor is recorded.
    """
    if version.state is None:  # it has no successor: the end is recorded with the successor's creation
        return None
    number = version.version + 1
    while later := await context.revision(revision_name(SERVICE.name, version.key.name, number)):
        if version.state is not State.SUCCEEDED:
            return later.created
        status = await context.operation_status(later)
        if status.state is State.SUCCEEDED:
            return status.ended
        number += 1
    return None
