"""Deployments: the versions of services."""

from __future__ import annotations

from fastapi import Response

from modelyard.api.kinds import SERVICE
from modelyard.api.labels import revision_name
from modelyard.api.revision import Revision
from modelyard.gateway import (
    from_kubernetes,
    schemas,
)
from modelyard.gateway.errors import not_found
from modelyard.gateway.listing import Filter, any_of, each, named
from modelyard.gateway.request_context import (
    Call,
    Exchange,
)
from modelyard.gateway.routes.responses import (
    json,
    router,
    shows,
)
from modelyard.kube.types import Json

routes = router("deployments")
_CHUNK = 500


@routes.get("/deployments", responses=shows(list[schemas.Deployment]), operation_id="queryDeployments")
async def query_deployments(call: Call, serviceId: Filter = None) -> Response:  # noqa: N803 (the API's name)
    """All deployments of the account, or those of a service."""
    references = None if serviceId is None else await named(call, SERVICE, serviceId)
    names = tuple(reference.name for reference in references or ())
    found: list[Revision] = []
    at: str | None = None
    while True:
        page = await call.versions_page(SERVICE, names, _CHUNK, at)
        found += [version for body in page.items if (version := Revision.read(body))]
        if page.next is None:
            break
        at = page.next
    if references is not None:
        found = [version for version in found if any_of(references, version.key.name, version.version)]
    found.sort(key=lambda version: (version.key.name, version.version))
    return json(await each(found, lambda version: _view(call, version)))


@routes.get("/deployments/{id}", responses=shows(schemas.Deployment), operation_id="getDeployment")
async def get_deployment(call: Call, id: str) -> Response:  # noqa: A002 (the API's name)
    """A deployment."""
    version = await call.record(id)
    if version is None or version.kind is not SERVICE:
        raise not_found("Deployment", id)
    return json(await _view(call, version))


async def _view(call: Exchange, version: Revision) -> Json:
    # A version that something follows has ended, and its record says so.
    following = None
    if version.state is not None:
        following = await call.record(revision_name(SERVICE.name, version.key.name, version.version + 1))
    now = await call.operation_status(version)
    return from_kubernetes.deployment(version, now.state, following)
