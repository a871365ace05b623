"""The routes of models."""

from __future__ import annotations

from fastapi import Response

from modelyard.api.kinds import MODEL
from modelyard.api.revision import FullRevision
from modelyard.gateway import from_kubernetes, schemas, to_kubernetes
from modelyard.gateway.listing import Count, Filter, SkipToken, list_revisions
from modelyard.gateway.paging import DEFAULT_COUNT
from modelyard.gateway.request_context import Context
from modelyard.gateway.routes.responses import LIST_SLOT, json, ok_response, router
from modelyard.gateway.routes.versioned import get_version, register
from modelyard.kube.types import Json

routes = router("models")


@routes.post("/models", responses=ok_response(schemas.Model), operation_id="registerModel")
async def register_model(context: Context, model: schemas.Model) -> Response:
    """Register a model; the same name again registers its next version."""
    version = await register(context, MODEL, model.name, to_kubernetes.model_spec(model))
    return json(from_kubernetes.model(version))


@routes.get(
    "/models",
    responses=ok_response(schemas.PaginatedModelList),
    dependencies=[LIST_SLOT],
    operation_id="queryModels",
)
async def query_models(
    context: Context,
    name: Filter = None,
    tag: Filter = None,
    count: Count = DEFAULT_COUNT,
    skip_token: SkipToken = None,
) -> Response:
    """List the versions of all models, or those with a name, an id or a tag."""
    matches = None if tag is None else lambda version: tag in version.about.get("tags", ())
    page = await list_revisions(
        context,
        MODEL,
        _body,
        count,
        skip_token,
        name=name,
        matches=matches,
        filters={"name": name, "tag": tag},
    )
    return json(page)


@routes.get("/models/{id}", responses=ok_response(schemas.Model), operation_id="getModel")
async def get_model(context: Context, id: str) -> Response:  # noqa: A002 (the API's name)
    """Get a version of a model."""
    return json(from_kubernetes.model(await get_version(context, MODEL, id)))


async def _body(version: FullRevision) -> Json:
    return from_kubernetes.model(version)
