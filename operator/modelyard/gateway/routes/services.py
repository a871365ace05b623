"""Services."""

from __future__ import annotations

from typing import Annotated

from fastapi import Query, Response

from modelyard.api.kinds import IMAGE, MANIFEST, MODEL, SERVICE
from modelyard.api.labels import revision_name
from modelyard.api.resources import CUSTOM_RESOURCES
from modelyard.api.status import ErrorResponse
from modelyard.gateway import (
    from_kubernetes,
    paging,
    schemas,
    to_kubernetes,
)
from modelyard.gateway.errors import ApiError, not_found
from modelyard.gateway.listing import Count, Filter, SkipToken, any_of, each, link, named, refers
from modelyard.gateway.name_mapping import (
    object_name,
    parse_id,
)
from modelyard.gateway.paging import DEFAULT_COUNT
from modelyard.gateway.registration import Registration, mark_of, marked, new_mark
from modelyard.gateway.request_context import (
    Call,
    Exchange,
)
from modelyard.gateway.routes.images import image_view
from modelyard.gateway.routes.registered import require
from modelyard.gateway.routes.responses import (
    ACCEPTED,
    accepted,
    json,
    router,
    shows,
)
from modelyard.kube.errors import AlreadyExists, NotFound, Unavailable
from modelyard.kube.types import Json

routes = router("services")
_SERVICES = CUSTOM_RESOURCES[SERVICE.name]


@routes.post(
    "/services",
    responses={**ACCEPTED, 409: {"model": ErrorResponse, "description": "The name is taken."}},
    status_code=202,
    response_class=Response,
    operation_id="createService",
)
async def create_service(call: Call, request: schemas.ServiceCreateRequest) -> Response:
    """Serve a built image under a new name."""
    spec = to_kubernetes.service_spec(request)
    await _require_built(call, spec["imageId"])
    name, mark = object_name(SERVICE, request.name), new_mark()
    try:
        await call.caller.create(_SERVICES, marked(name, mark, spec))
    except AlreadyExists:
        message = f"there is a service with the name {request.name!r}: update it, or choose another name"
        raise ApiError(409, "NameTaken", message) from None
    except Unavailable:  # perhaps only the answer was lost
        there = await call.caller.find(_SERVICES, name)
        if there is None or mark_of(there) != mark:
            raise
    return accepted(call.location("operations", revision_name(SERVICE.name, name, 1)))


@routes.get("/services", responses=shows(schemas.PaginatedServiceList), operation_id="queryServices")
async def query_services(
    call: Call,
    service_name: Annotated[Filter, Query(alias="serviceName")] = None,
    model_id: Annotated[Filter, Query(alias="modelId")] = None,
    model_name: Annotated[Filter, Query(alias="modelName")] = None,
    manifest_id: Annotated[Filter, Query(alias="manifestId")] = None,
    manifest_name: Annotated[Filter, Query(alias="manifestName")] = None,
    image_id: Annotated[Filter, Query(alias="imageId")] = None,
    compute_resource_id: Annotated[Filter, Query(alias="computeResourceId")] = None,
    count: Count = DEFAULT_COUNT,
    skip_token: SkipToken = None,
) -> Response:
    """List all services, or those of a model, a manifest, an image, a name or a compute resource."""
    filters = {
        "serviceName": service_name,
        "modelId": model_id,
        "modelName": model_name,
        "manifestId": manifest_id,
        "manifestName": manifest_name,
        "imageId": image_id,
        "computeResourceId": compute_resource_id,
    }
    of = paging.listing(call.caller.namespace, SERVICE.plural, filters)
    cursor = paging.decode(skip_token, of)
    named_so = None if service_name is None else await named(call, SERVICE, service_name)
    uses = [
        (field, await named(call, kind, text))
        for field, kind, text in (
            ("modelIds", MODEL, model_id),
            ("modelIds", MODEL, model_name),
            ("manifestId", MANIFEST, manifest_id),
            ("manifestId", MANIFEST, manifest_name),
            ("imageId", IMAGE, image_id),
        )
        if text is not None
    ]

    def keep(body: Json) -> Json | None:
        compute = (body["spec"].get("computeResource") or {}).get("id")
        if compute_resource_id is not None and compute != compute_resource_id:
            return None
        version = (body.get("status") or {}).get("version")
        if named_so is not None and not any_of(named_so, body["metadata"]["name"], version):
            return None
        return body if all(refers(wanted, _ids(body, field)) for field, wanted in uses) else None

    found, following = await paging.collect(
        lambda limit, at: call.caller.page(_SERVICES, limit, at),
        keep,
        count,
        cursor,
        filtered=any(value is not None for value in filters.values()),
    )
    value = await each(found, lambda body: _view(call, body))
    return json({"value": value, **link(call, SERVICE, of, following, count, filters)})


@routes.get("/services/{id}", responses=shows(schemas.ServiceResponse), operation_id="getService")
async def get_service(call: Call, id: str) -> Response:  # noqa: A002 (the API's name)
    """A service."""
    return json(await _view(call, await find_service(call, id)))


@routes.put(
    "/services/{id}",
    responses={**ACCEPTED, 404: {"model": ErrorResponse, "description": "There is no such service."}},
    status_code=202,
    response_class=Response,
    operation_id="updateService",
)
async def update_service(call: Call, id: str, request: schemas.ServiceUpdateRequest) -> Response:  # noqa: A002
    """Change a service; what the request does not name stays."""
    name = (await find_service(call, id))["metadata"]["name"]
    if request.image_id is not None:
        await _require_built(call, to_kubernetes.reference(IMAGE, request.image_id))

    def change(present: Json | None) -> Json:
        if present is None:
            raise not_found(SERVICE.name, id)
        return to_kubernetes.updated_service_spec(present, request)

    patience = call.parts.settings.patience_seconds
    version = await Registration(call.caller, SERVICE, name, change, patience).run(call.parts.turns)
    return accepted(call.location("operations", version.name))


@routes.delete(
    "/services/{id}",
    responses={
        200: {"description": "It is deleted."},
        204: {"description": "There is no such service."},
    },
    response_class=Response,
    operation_id="deleteService",
)
async def delete_service(call: Call, id: str) -> Response:  # noqa: A002 (the API's name)
    """Delete a service, its replicas and its keys."""
    try:
        await call.caller.delete(_SERVICES, object_name(SERVICE, id))
    except NotFound:
        return Response(status_code=204)
    return Response(status_code=200)


async def find_service(call: Exchange, id_: str) -> Json:
    """The Service with an id; ApiError 404 when there is none."""
    body = await call.caller.find(_SERVICES, object_name(SERVICE, id_))
    if body is None:
        raise not_found(SERVICE.name, id_)
    return body


async def _require_built(call: Exchange, image_id: str) -> None:
    """ApiError when an image is not registered (400), or cannot be served (409)."""
    await require(call, IMAGE, [image_id])
    reference = parse_id(IMAGE, image_id)
    image = await call.version(IMAGE, image_id) if reference.version else None
    if image is None or image.location:
        return  # a name without a version follows whatever is built
    now = await call.operation_status(image)
    raise ApiError(
        409,
        "ImageNotReady",
        f"image {image_id} is {now.state}: a service needs one whose operation has Succeeded",
    )


def _ids(body: Json, field: str) -> list[str]:
    value = (body.get("status") or {}).get(field) or []
    return [value] if isinstance(value, str) else value


async def _view(call: Exchange, body: Json) -> Json:
    image = await call.image_of(body)
    served = await image_view(call, image) if image else None
    built_from = await call.manifest_of(image) if image else None
    ids = built_from.data.get("modelIds", ()) if built_from else ()
    models = [version for id_ in ids if (version := await call.version(MODEL, id_))]
    return from_kubernetes.service(body, served, built_from, models)
