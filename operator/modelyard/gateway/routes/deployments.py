"""The routes of deployments, which are the versions of services."""

from __future__ import annotations

from fastapi import Response

from modelyard.api.kinds import SERVICE
from modelyard.api.labels import revision_name
from modelyard.api.revision import FullRevision
from modelyard.api.status import State
from modelyard.gateway import from_kubernetes, paging, schemas
from modelyard.gateway.errors import not_found
from modelyard.gateway.listing import Filter, is_referenced, map_concurrently, resolve_filter
from modelyard.gateway.request_context import Context, RequestContext
from modelyard.gateway.routes.responses import json, ok_response, router
from modelyard.kube.types import Json

routes = router("deployments")


@routes.get("/deployments", responses=ok_response(list[schemas.Deployment]), operation_id="queryDeployments")
async def query_deployments(context: Context, serviceId: Filter = None) -> Response:  # noqa: N803 (the API's name)
    """List all deployments of the account, or those of a service."""
    references = None if serviceId is None else await resolve_filter(context, SERVICE, serviceId)
    names = tuple(reference.name for reference in references or ())
    found: list[FullRevision] = []
    token: str | None = None
    while True:
        page = await context.revisions_page(SERVICE, names, paging.CHUNK, token)
        found += [version for body in page.items if (version := FullRevision.read(body))]
        token = page.continue_token
        if token is None:
            break
    if references is not None:
        found = [version for version in found if is_referenced(references, version.key.name, version.version)]
    found.sort(key=lambda version: (version.key.name, version.version))
    return json(await map_concurrently(found, lambda version: _body(context, version)))


@routes.get("/deployments/{id}", responses=ok_response(schemas.Deployment), operation_id="getDeployment")
async def get_deployment(context: Context, id: str) -> Response:  # noqa: A002 (the API's name)
    """Get a deployment."""
    version = await context.revision(id)
    if version is None or version.kind is not SERVICE:
        raise not_found("Deployment", id)
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
