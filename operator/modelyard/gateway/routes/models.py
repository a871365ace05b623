"""Models."""

from __future__ import annotations

from fastapi import Response

from modelyard.api.kinds import MODEL
from modelyard.gateway import (
    from_kubernetes,
    schemas,
    to_kubernetes,
)
from modelyard.gateway.listing import Count, Filter, SkipToken, versions
from modelyard.gateway.paging import DEFAULT_COUNT
from modelyard.gateway.request_context import Call
from modelyard.gateway.routes.registered import by_id, register
from modelyard.gateway.routes.responses import (
    json,
    router,
    shows,
)

routes = router("models")


@routes.post("/models", responses=shows(schemas.Model), operation_id="registerModel")
async def register_model(call: Call, model: schemas.Model) -> Response:
    """Register a model; the same name again registers its next version."""
    return json(
        from_kubernetes.model(await register(call, MODEL, model.name, to_kubernetes.model_spec(model)))
    )


@routes.get("/models", responses=shows(schemas.PaginatedModelList), operation_id="queryModels")
async def query_models(
    call: Call,
    name: Filter = None,
    tag: Filter = None,
    count: Count = DEFAULT_COUNT,
    skip_token: SkipToken = None,
) -> Response:
    """List the versions of all models, or those with a name, an id or a tag."""
    keep = None if tag is None else lambda version: tag in version.about.get("tags", ())
    found, link = await versions(
        call, MODEL, count, skip_token, name=name, keep=keep, filters={"name": name, "tag": tag}
    )
    return json({"value": [from_kubernetes.model(version) for version in found], **link})


@routes.get("/models/{id}", responses=shows(schemas.Model), operation_id="getModel")
async def get_model(call: Call, id: str) -> Response:  # noqa: A002 (the API's name)
    """A version of a model."""
    return json(from_kubernetes.model(await by_id(call, MODEL, id)))
