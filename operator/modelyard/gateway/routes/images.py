"""The routes of images and of the logs of their builds."""

from __future__ import annotations

from fastapi import Response
from fastapi.responses import StreamingResponse

from modelyard.api.kinds import IMAGE, MANIFEST
from modelyard.api.revision import FullRevision
from modelyard.gateway import from_kubernetes, schemas, to_kubernetes
from modelyard.gateway.build_log import read_log, stream_log
from modelyard.gateway.listing import Count, Filter, SkipToken, list_revisions, refers, resolve_filter
from modelyard.gateway.paging import DEFAULT_COUNT
from modelyard.gateway.request_context import Context, RequestContext
from modelyard.gateway.routes.responses import ACCEPTED, LIST_SLOT, accepted, json, ok_response, router
from modelyard.gateway.routes.versioned import get_version, register, require_registered
from modelyard.kube.types import Json

routes = router("images")


@routes.post(
    "/images", responses=ACCEPTED, status_code=202, response_class=Response, operation_id="createImage"
)
async def create_image(context: Context, request: schemas.ImageRequest) -> Response:
    """Build an image of a manifest; the same name again makes its next version."""
    spec = to_kubernetes.image_spec(request)
    await require_registered(context, MANIFEST, [spec["manifestId"]])
    version = await register(context, IMAGE, request.name, spec)
    return accepted(context.location("operations", version.name))


@routes.get(
    "/images",
    responses=ok_response(schemas.PaginatedImageList),
    dependencies=[LIST_SLOT],
    operation_id="queryImages",
)
async def query_images(
    context: Context,
    name: Filter = None,
    manifestId: Filter = None,  # noqa: N803 (the API's name)
    manifestName: Filter = None,  # noqa: N803
    count: Count = DEFAULT_COUNT,
    skip_token: SkipToken = None,
) -> Response:
    """List the versions of all images, or those of a manifest."""
    filters = {"name": name, "manifestId": manifestId, "manifestName": manifestName}
    manifest_filters = [
        await resolve_filter(context, MANIFEST, text)
        for text in (manifestId, manifestName)
        if text is not None
    ]

    def matches(version: FullRevision) -> bool:
        return all(refers(manifests, [version.data["manifestId"]]) for manifests in manifest_filters)

    page = await list_revisions(
        context,
        IMAGE,
        lambda version: image_body(context, version),
        count,
        skip_token,
        name=name,
        matches=matches if manifest_filters else None,
        filters=filters,
    )
    return json(page)


@routes.get("/images/{id}", responses=ok_response(schemas.Image), operation_id="getImage")
async def get_image(context: Context, id: str) -> Response:  # noqa: A002 (the API's name)
    """Get a version of an image."""
    return json(await image_body(context, await get_version(context, IMAGE, id)))


@routes.get(
    "/images/{id}/log",
    response_class=Response,
    responses={
        200: {
            "content": {"text/plain": {}},
            "description": "The log; the response ends when the build ends.",
        }
    },
    operation_id="getImageBuildLog",
)
async def get_image_build_log(context: Context, id: str) -> Response:  # noqa: A002 (the API's name)
    """Get the log of a build, at the URL that an image has as imageBuildLogUri."""
    version = await get_version(context, IMAGE, id)
    log = stream_log(context, version, await read_log(context, version))
    return StreamingResponse(log, media_type="text/plain; charset=utf-8")


async def image_body(context: RequestContext, version: FullRevision) -> Json:
    """Return the Image of a version."""
    built_from = await context.manifest_of(version)
    status = await context.operation_status(version)
    return from_kubernetes.image(version, status, built_from, context.log_uri(version))
