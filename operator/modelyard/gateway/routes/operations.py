"""The routes of operations: the build of an image, the rollout of a service."""

from __future__ import annotations

from typing import Final

from fastapi import Response

from modelyard.api.kinds import IMAGE, KINDS_BY_NAME, SERVICE
from modelyard.api.labels import parse_revision_name
from modelyard.api.resources import CUSTOM_RESOURCES
from modelyard.gateway import error_codes, from_kubernetes, schemas
from modelyard.gateway.errors import not_found
from modelyard.gateway.request_context import Context, RequestContext
from modelyard.gateway.routes.responses import json, ok_response, router

routes = router("operations")
_KINDS: Final = {IMAGE.name, SERVICE.name}


@routes.get(
    "/operations/{id}", responses=ok_response(schemas.AsyncOperationStatus), operation_id="getOperation"
)
async def get_operation(context: Context, id: str) -> Response:  # noqa: A002 (the API's name)
    """Get the status of an operation; those of old versions stay readable."""
    name = parse_revision_name(id)
    if name is None or name.kind not in _KINDS:
        raise not_found(error_codes.OPERATION_NOT_FOUND, id)
    version = await context.revision(id)
    body = None
    if name.version == 1:
        body = await context.get_or_none(CUSTOM_RESOURCES[name.kind], name.name)
    uid = body["metadata"]["uid"] if body else None
    is_recorded = bool(body and (body.get("status") or {}).get("version"))
    if body and (version.owner_uid != uid if version else not is_recorded):
        # The operator has yet to record the version. An existing revision is of a deleted object. A version
        # that was recorded and is missing was removed from a long history.
        location = _location(context, name.kind, name.name, 1)
        return json(from_kubernetes.pending_operation(name.kind, id, body, location))
    if version is None:
        raise not_found(error_codes.OPERATION_NOT_FOUND, id)
    return json(
        from_kubernetes.operation(
            version,
            await context.operation_status(version),
            _location(context, name.kind, name.name, name.version),
            context.log_uri(version) if version.kind is IMAGE else None,
        )
    )


def _location(context: RequestContext, kind: str, name: str, version: int) -> str:
    plural = KINDS_BY_NAME[kind].plural
    return context.location(plural, name if kind == SERVICE.name else f"{name}:{version}")
