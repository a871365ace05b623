"""The routes of services."""

from __future__ import annotations

from typing import Annotated, Final

from fastapi import Query, Response

from modelyard.api.kinds import IMAGE, MANIFEST, MODEL, SERVICE
from modelyard.api.labels import revision_name
from modelyard.api.names import VersionReference
from modelyard.api.resources import CUSTOM_RESOURCES
from modelyard.api.status import ErrorResponse
from modelyard.gateway import error_codes, from_kubernetes, paging, schemas, to_kubernetes
from modelyard.gateway.errors import ApiError, not_found
from modelyard.gateway.listing import (
    Count,
    Filter,
    SkipToken,
    is_referenced,
    next_link,
    refers,
    resolve_filter,
)
from modelyard.gateway.name_mapping import object_name, parse_id
from modelyard.gateway.paging import DEFAULT_COUNT
from modelyard.gateway.registration import new_object, new_request_token, request_token_of
from modelyard.gateway.request_context import Context, RequestContext
from modelyard.gateway.routes.images import image_body
from modelyard.gateway.routes.responses import ACCEPTED, LIST_SLOT, accepted, json, ok_response, router
from modelyard.gateway.routes.versioned import register_change, require_registered
from modelyard.kube.errors import AlreadyExists, NotFound, Unavailable
from modelyard.kube.types import Json

routes = router("services")
_SERVICES: Final = CUSTOM_RESOURCES[SERVICE.name]


@routes.post(
    "/services",
    responses={**ACCEPTED, 409: {"model": ErrorResponse, "description": "The name is taken."}},
    status_code=202,
    response_class=Response,
    operation_id="createService",
)
async def create_service(context: Context, request: schemas.ServiceCreateRequest) -> Response:
    """Serve a built image under a new name."""
    spec = to_kubernetes.service_spec(request)
    await _require_built(context, spec["imageId"])
    name, request_token = object_name(SERVICE, request.name), new_request_token()
    body = _SERVICES.header() | new_object(name, request_token, spec)
    try:
        await context.client.create(_SERVICES, context.namespace, body)
    except AlreadyExists:
        message = f"there is a service with the name {request.name!r}: update it, or choose another name"
        raise ApiError(error_codes.NAME_TAKEN, message) from None
    except Unavailable:  # the service may exist, if only the response was lost
        created = await context.get_or_none(_SERVICES, name)
        if created is None or request_token_of(created) != request_token:
            raise
    return accepted(context.location("operations", revision_name(SERVICE.name, name, 1)))


@routes.get(
    "/services",
    responses=ok_response(schemas.PaginatedServiceList),
    dependencies=[LIST_SLOT],
    operation_id="queryServices",
)
async def query_services(
    context: Context,
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
    listing_id = paging.listing_id(context.namespace, SERVICE.plural, filters)
    cursor = paging.decode(skip_token, listing_id)
    names = None if service_name is None else await resolve_filter(context, SERVICE, service_name)
    uses = [
        (field, await resolve_filter(context, kind, text))
        for field, kind, text in (
            ("modelIds", MODEL, model_id),
            ("modelIds", MODEL, model_name),
            ("manifestId", MANIFEST, manifest_id),
            ("manifestId", MANIFEST, manifest_name),
            ("imageId", IMAGE, image_id),
        )
        if text is not None
    ]

    def select(body: Json) -> Json | None:
        return body if _matches(body, compute_resource_id, names, uses) else None

    found, next_cursor = await paging.collect(
        lambda limit, token: context.client.list_page(_SERVICES, context.namespace, limit, token),
        select,
        lambda body: _body(context, body),
        count,
        cursor,
        filtered=any(value is not None for value in filters.values()),
    )
    link = next_link(context, SERVICE, listing_id, next_cursor, count, filters)
    return json({"value": found, **link})


def _matches(
    body: Json,
    compute_resource_id: str | None,
    names: tuple[VersionReference, ...] | None,
    uses: list[tuple[str, tuple[VersionReference, ...]]],
) -> bool:
    """Return whether a Service passes the filters of a list."""
    status = body.get("status") or {}
    compute = (body["spec"].get("computeResource") or {}).get("id")
    if compute_resource_id is not None and compute != compute_resource_id:
        return False
    if names is not None and not is_referenced(names, body["metadata"]["name"], status.get("version")):
        return False
    return all(refers(references, _ids(status, field)) for field, references in uses)


def _ids(status: Json, field: str) -> list[str]:
    value = status.get(field) or []
    return [value] if isinstance(value, str) else value


@routes.get("/services/{id}", responses=ok_response(schemas.ServiceResponse), operation_id="getService")
async def get_service(context: Context, id: str) -> Response:  # noqa: A002 (the API's name)
    """Get a service."""
    return json(await _body(context, await get_service_object(context, id)))


@routes.put(
    "/services/{id}",
    responses={**ACCEPTED, 404: {"model": ErrorResponse, "description": "There is no such service."}},
    status_code=202,
    response_class=Response,
    operation_id="updateService",
)
async def update_service(context: Context, id: str, request: schemas.ServiceUpdateRequest) -> Response:  # noqa: A002
    """Change the fields of a service that the request contains."""
    name = (await get_service_object(context, id))["metadata"]["name"]
    if request.image_id is not None:
        await _require_built(context, to_kubernetes.reference(IMAGE, request.image_id))

    def change(current: Json | None) -> Json:
        if current is None:
            raise not_found(error_codes.SERVICE_NOT_FOUND, id)
        return to_kubernetes.updated_service_spec(current, request)

    version = await register_change(context, SERVICE, name, change)
    return accepted(context.location("operations", version.name))


@routes.delete(
    "/services/{id}",
    responses={
        200: {"description": "The service is deleted."},
        204: {"description": "There is no such service."},
    },
    response_class=Response,
    operation_id="deleteService",
)
async def delete_service(context: Context, id: str) -> Response:  # noqa: A002 (the API's name)
    """Delete a service, its replicas and its keys."""
    name = object_name(SERVICE, id)
    try:
        await context.client.delete(_SERVICES, context.namespace, name, missing_ok=False)
    except NotFound:
        return Response(status_code=204)
    return Response(status_code=200)


async def get_service_object(context: RequestContext, id_: str) -> Json:
    """Return the Service of an id. Raises ApiError 404 if there is none."""
    body = await context.get_or_none(_SERVICES, object_name(SERVICE, id_))
    if body is None:
        raise not_found(error_codes.SERVICE_NOT_FOUND, id_)
    return body


async def _require_built(context: RequestContext, image_id: str) -> None:
    """Raise ApiError 400 if an image is not registered, and ApiError 409 if it is not built."""
    await require_registered(context, IMAGE, [image_id])
    reference = parse_id(IMAGE, image_id)
    image = await context.version(IMAGE, image_id) if reference.version else None
    if image is None or image.location:
        return  # a reference without a version follows the newest version that is built
    status = await context.operation_status(image)
    raise ApiError(
        error_codes.IMAGE_NOT_READY,
        f"the build of image {image_id} is in the state {status.state}: wait until it has Succeeded",
    )


async def _body(context: RequestContext, service: Json) -> Json:
    image = await context.image_of(service)
    served = await image_body(context, image) if image else None
    built_from = await context.manifest_of(image) if image else None
    model_ids = built_from.data.get("modelIds", ()) if built_from else ()
    models = [version for id_ in model_ids if (version := await context.version(MODEL, id_))]
    return from_kubernetes.service(service, served, built_from, models)
