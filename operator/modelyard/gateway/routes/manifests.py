"""The routes of manifests."""

from __future__ import annotations

from fastapi import Response

from modelyard.api.kinds import MANIFEST, MODEL
from modelyard.api.revision import FullRevision
from modelyard.gateway import from_kubernetes, schemas, to_kubernetes
from modelyard.gateway.listing import Count, Filter, SkipToken, list_revisions, refers, resolve_filter
from modelyard.gateway.paging import DEFAULT_COUNT
from modelyard.gateway.request_context import Context
from modelyard.gateway.routes.responses import LIST_SLOT, json, ok_response, router
from modelyard.gateway.routes.versioned import get_version, register, require_registered
from modelyard.kube.types import Json

routes = router("manifests")


@routes.post("/manifests", responses=ok_response(schemas.Manifest), operation_id="registerManifest")
async def register_manifest(context: Context, manifest: schemas.Manifest) -> Response:
    """Register a manifest of registered models; the same name again registers its next version."""
    spec = to_kubernetes.manifest_spec(manifest)
    await require_registered(context, MODEL, spec["modelIds"])
    return json(from_kubernetes.manifest(await register(context, MANIFEST, manifest.name, spec)))


@routes.get(
    "/manifests",
    responses=ok_response(schemas.PaginatedManifestList),
    dependencies=[LIST_SLOT],
    operation_id="queryManifests",
)
async def query_manifests(
    context: Context,
    modelId: Filter = None,  # noqa: N803 (the API's name)
    manifestName: Filter = None,  # noqa: N803
    count: Count = DEFAULT_COUNT,
    skip_token: SkipToken = None,
) -> Response:
    """List the versions of all manifests, or those with a name, an id or a model."""
    models = None if modelId is None else await resolve_filter(context, MODEL, modelId)
    matches = None if models is None else lambda version: refers(models, version.data.get("modelIds", ()))
    page = await list_revisions(
        context,
        MANIFEST,
        _body,
        count,
        skip_token,
        name=manifestName,
        matches=matches,
        filters={"modelId": modelId, "manifestName": manifestName},
    )
    return json(page)


@routes.get("/manifests/{id}", responses=ok_response(schemas.Manifest), operation_id="getManifest")
async def get_manifest(context: Context, id: str) -> Response:  # noqa: A002 (the API's name)
    """Get a version of a manifest."""
    return json(from_kubernetes.manifest(await get_version(context, MANIFEST, id)))


async def _body(version: FullRevision) -> Json:
    return from_kubernetes.manifest(version)
