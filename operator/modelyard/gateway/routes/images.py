"""Images, and the logs of their builds."""

from __future__ import annotations

from fastapi import Response
from fastapi.responses import StreamingResponse

from modelyard.api.kinds import IMAGE, MANIFEST
from modelyard.api.revision import Revision
from modelyard.gateway import (
    from_kubernetes,
    schemas,
    to_kubernetes,
)
from modelyard.gateway.build_log import follow, look
from modelyard.gateway.listing import Count, Filter, SkipToken, each, named, refers, versions
from modelyard.gateway.paging import DEFAULT_COUNT
from modelyard.gateway.request_context import (
    Call,
    Exchange,
)
from modelyard.gateway.routes.registered import by_id, register, require
from modelyard.gateway.routes.responses import (
    ACCEPTED,
    accepted,
    json,
    router,
    shows,
)
from modelyard.kube.types import Json

routes = router("images")


@routes.post(
    "/images", responses=ACCEPTED, status_code=202, response_class=Response, operation_id="createImage"
)
async def create_image(call: Call, request: schemas.ImageRequest) -> Response:
    """Build an image of a manifest; the same name again makes its next version."""
    spec = to_kubernetes.image_spec(request)
    await require(call, MANIFEST, [spec["manifestId"]])
    version = await register(call, IMAGE, request.name, spec)
    return accepted(call.location("operations", version.name))


@routes.get("/images", responses=shows(schemas.PaginatedImageList), operation_id="queryImages")
async def query_images(
    call: Call,
    name: Filter = None,
    manifestId: Filter = None,  # noqa: N803 (the API's name)
    manifestName: Filter = None,  # noqa: N803
    count: Count = DEFAULT_COUNT,
    skip_token: SkipToken = None,
) -> Response:
    """List the versions of all images, or those of a manifest."""
    filters = {"name": name, "manifestId": manifestId, "manifestName": manifestName}
    wanted = [await named(call, MANIFEST, text) for text in (manifestId, manifestName) if text is not None]

    def keep(version: Revision) -> bool:
        return all(refers(manifests, [version.data["manifestId"]]) for manifests in wanted)

    found, link = await versions(
        call, IMAGE, count, skip_token, name=name, keep=keep if wanted else None, filters=filters
    )
    return json({"value": await each(found, lambda version: image_view(call, version)), **link})


@routes.get("/images/{id}", responses=shows(schemas.Image), operation_id="getImage")
async def get_image(call: Call, id: str) -> Response:  # noqa: A002 (the API's name)
    """A version of an image."""
    return json(await image_view(call, await by_id(call, IMAGE, id)))


@routes.get(
    "/images/{id}/log",
    response_class=Response,
    responses={
        200: {"content": {"text/plain": {}}, "description": "The log; it goes on while the build does."}
    },
    operation_id="getImageBuildLog",
)
async def get_image_build_log(call: Call, id: str) -> Response:  # noqa: A002 (the API's name)
    """The log of a build: where an image's imageBuildLogUri leads."""
    version = await by_id(call, IMAGE, id)
    log = follow(call, version, await look(call, version))
    return StreamingResponse(log, media_type="text/plain; charset=utf-8")


async def image_view(call: Exchange, version: Revision) -> Json:
    """Image."""
    built_from = await call.manifest_of(version)
    return from_kubernetes.image(
        version, await call.operation_status(version), built_from, call.log_uri(version)
    )
