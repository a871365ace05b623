"""Manifests."""

from __future__ import annotations

from fastapi import Response

from modelyard.api.kinds import MANIFEST, MODEL
from modelyard.gateway import (
    from_kubernetes,
    schemas,
    to_kubernetes,
)
from modelyard.gateway.listing import Count, Filter, SkipToken, named, refers, versions
from modelyard.gateway.paging import DEFAULT_COUNT
from modelyard.gateway.request_context import Call
from modelyard.gateway.routes.registered import by_id, register, require
from modelyard.gateway.routes.responses import (
    json,
    router,
    shows,
)

routes = router("manifests")


@routes.post("/manifests", responses=shows(schemas.Manifest), operation_id="registerManifest")
async def register_manifest(call: Call, manifest: schemas.Manifest) -> Response:
    """Register a manifest of registered models; the same name again registers its next version."""
    spec = to_kubernetes.manifest_spec(manifest)
    await require(call, MODEL, spec["modelIds"])
    return json(from_kubernetes.manifest(await register(call, MANIFEST, manifest.name, spec)))


@routes.get("/manifests", responses=shows(schemas.PaginatedManifestList), operation_id="queryManifests")
async def query_manifests(
    call: Call,
    modelId: Filter = None,  # noqa: N803 (the API's name)
    manifestName: Filter = None,  # noqa: N803
    count: Count = DEFAULT_COUNT,
    skip_token: SkipToken = None,
) -> Response:
    """List the versions of all manifests, or those with a name, an id or a model."""
    models = None if modelId is None else await named(call, MODEL, modelId)
    found, link = await versions(
        call,
        MANIFEST,
        count,
        skip_token,
        name=manifestName,
        keep=None if models is None else lambda version: refers(models, version.data.get("modelIds", ())),
        filters={"modelId": modelId, "manifestName": manifestName},
    )
    return json({"value": [from_kubernetes.manifest(version) for version in found], **link})


@routes.get("/manifests/{id}", responses=shows(schemas.Manifest), operation_id="getManifest")
async def get_manifest(call: Call, id: str) -> Response:  # noqa: A002 (the API's name)
    """A version of a manifest."""
    return json(from_kubernetes.manifest(await by_id(call, MANIFEST, id)))
