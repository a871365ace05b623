"""The routes of the keys of services. The keys are in a Secret, which needs a right of its own."""

from __future__ import annotations

import base64
from typing import Final

from fastapi import Response

from modelyard.api.access_keys import missing_keys
from modelyard.api.labels import keys_name
from modelyard.api.owners import owner_of
from modelyard.gateway import error_codes, schemas
from modelyard.gateway.errors import ApiError
from modelyard.gateway.request_context import Context, RequestContext
from modelyard.gateway.routes.responses import json, ok_response, router
from modelyard.gateway.routes.services import get_service_object
from modelyard.kube.transport import JSON
from modelyard.kube.types import SECRETS, Json
from modelyard.scoring.contract import PRIMARY_KEY, SECONDARY_KEY

routes = router("services")
_REPLACED_KEYS: Final = {
    schemas.KeyType.PRIMARY: (PRIMARY_KEY,),
    schemas.KeyType.SECONDARY: (SECONDARY_KEY,),
    None: (PRIMARY_KEY, SECONDARY_KEY),
}


@routes.get("/services/{id}/keys", responses=ok_response(schemas.AuthKeys), operation_id="getServiceKeys")
async def get_service_keys(context: Context, id: str) -> Response:  # noqa: A002 (the API's name)
    """Get both keys of a service."""
    return _response((await _secret(context, id))["data"])


@routes.post(
    "/services/{id}/keys", responses=ok_response(schemas.AuthKeys), operation_id="regenerateServiceKeys"
)
async def regenerate_service_keys(
    context: Context,
    id: str,  # noqa: A002 (the API's name)
    request: schemas.ServiceRegenerateKeyRequest,
) -> Response:
    """Replace a key, or both; running replicas use the new key without a restart."""
    secret = await _secret(context, id)
    replaced = _REPLACED_KEYS[request.key_type]
    new_keys = missing_keys({key: value for key, value in secret["data"].items() if key not in replaced})
    metadata = secret["metadata"]
    patch = {"metadata": {"resourceVersion": metadata["resourceVersion"]}, "data": new_keys}
    patched = await context.client.patch(SECRETS, context.namespace, metadata["name"], patch, accept=JSON)
    return _response(patched["data"])


routes.post(
    "/services/{id}/regenerateKeys",
    responses=ok_response(schemas.AuthKeys),
    operation_id="regenerateServiceKeysByAction",
    summary="Replace a key, or both, at the path that clients of 2017 use",
)(regenerate_service_keys)


async def _secret(context: RequestContext, id_: str) -> Json:
    service = await get_service_object(context, id_)
    name = service["metadata"]["name"]
    secret = await context.get_or_none(SECRETS, keys_name(name))
    owner = owner_of(secret) if secret else None
    if secret is None or owner is None or owner.uid != service["metadata"]["uid"]:
        message = f"service {name} has no keys yet: the operator creates them with the first image"
        raise ApiError(error_codes.KEYS_NOT_FOUND, message)
    return secret


def _response(data: Json) -> Response:
    keys: Json = {
        key: base64.b64decode(data[key]).decode() for key in (PRIMARY_KEY, SECONDARY_KEY) if key in data
    }
    return json(keys)
