"""Operations: how the making of an image or a service goes."""

from __future__ import annotations

from typing import Final

from fastapi import Response

from modelyard.api.kinds import IMAGE, KINDS_BY_NAME, SERVICE
from modelyard.api.labels import parse_revision_name
from modelyard.api.resources import CUSTOM_RESOURCES
from modelyard.api.revision import Revision
from modelyard.gateway import (
    from_kubernetes,
    schemas,
)
from modelyard.gateway.errors import not_found
from modelyard.gateway.request_context import (
    Call,
    Exchange,
)
from modelyard.gateway.routes.responses import (
    json,
    router,
    shows,
)

routes = router("operations")
_KINDS: Final = {IMAGE.name, SERVICE.name}


@routes.get("/operations/{id}", responses=shows(schemas.AsyncOperationStatus), operation_id="getOperation")
async def get_operation(call: Call, id: str) -> Response:  # noqa: A002 (the API's name)
    """How an operation goes; those of old versions stay readable."""
    named = parse_revision_name(id)
    if named is None or named.kind not in _KINDS:
        raise not_found("Operation", id)
    version = await call.record(id)
    body = await call.caller.find(CUSTOM_RESOURCES[named.kind], named.name) if named.version == 1 else None
    uid = body["metadata"]["uid"] if body else None
    if body and (version is None or version.owner_uid != uid):
        # Not recorded yet; a record that is there is of a deleted object of the same name.
        location = _location(call, named.kind, named.name, 1)
        return json(from_kubernetes.pending_operation(named.kind, id, body, location))
    if version is None:
        raise not_found("Operation", id)
    return json(
        from_kubernetes.operation(
            version,
            await call.operation_status(version),
            _location(call, named.kind, named.name, named.version),
            _log_uri(call, version),
        )
    )


def _location(call: Exchange, kind: str, name: str, version: int) -> str:
    plural = KINDS_BY_NAME[kind].plural
    return call.location(plural, name if kind == SERVICE.name else f"{name}:{version}")


def _log_uri(call: Exchange, version: Revision) -> str | None:
    return call.log_uri(version) if version.kind is IMAGE else None
