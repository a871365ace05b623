"""Models."""

from __future__ import annotations

from fastapi import Response

from modelyard.api.kinds import MODEL
from modelyard.gateway import objects, views, wire
from modelyard.gateway.exchange import Call
from modelyard.gateway.listing import Count, Filter, SkipToken, versions
from modelyard.gateway.paging import DEFAULT_COUNT
from modelyard.gateway.routes.answers import json, router, shows
from modelyard.gateway.routes.registered import by_id, register

routes = router("models")


@routes.post("/models", responses=shows(wire.Model), operation_id="registerModel")
async def register_model(call: Call, model: wire.Model) -> Response:
    """Register a model; the same name again registers its next version."""
    return json(views.model(await register(call, MODEL, model.name, objects.model_spec(model))))


@routes.get("/models", responses=shows(wire.PaginatedModelList), operation_id="queryModels")
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
    return json({"value": [views.model(version) for version in found], **link})


@routes.get("/models/{id}", responses=shows(wire.Model), operation_id="getModel")
async def get_model(call: Call, id: str) -> Response:  # noqa: A002 (the API's name)
    """A version of a model."""
    return json(views.model(await by_id(call, MODEL, id)))
