"""Keys of services: a Secret, which needs a right of its own."""

from __future__ import annotations

import base64
from typing import Final

from fastapi import Response

from modelyard.api.access_keys import missing_keys
from modelyard.api.labels import keys_name
from modelyard.api.owners import owner_of
from modelyard.gateway import schemas
from modelyard.gateway.errors import ApiError
from modelyard.gateway.request_context import (
    Call,
    Exchange,
)
from modelyard.gateway.routes.responses import (
    json,
    router,
    shows,
)
from modelyard.gateway.routes.services import find_service
from modelyard.kube.types import SECRETS, Json
from modelyard.scoring.contract import PRIMARY_KEY, SECONDARY_KEY

routes = router("services")
_KEYS: Final = {
    schemas.KeyType.PRIMARY: (PRIMARY_KEY,),
    schemas.KeyType.SECONDARY: (SECONDARY_KEY,),
    None: (PRIMARY_KEY, SECONDARY_KEY),
}


@routes.get("/services/{id}/keys", responses=shows(schemas.AuthKeys), operation_id="getServiceKeys")
async def get_service_keys(call: Call, id: str) -> Response:  # noqa: A002 (the API's name)
    """Both keys of a service."""
    return _answer((await _secret(call, id))["data"])


@routes.post("/services/{id}/keys", responses=shows(schemas.AuthKeys), operation_id="regenerateServiceKeys")
async def regenerate_service_keys(
    call: Call,
    id: str,  # noqa: A002 (the API's name)
    request: schemas.ServiceRegenerateKeyRequest,
) -> Response:
    """Replace a key, or both; running replicas take the new one without a restart."""
    secret = await _secret(call, id)
    replaced = _KEYS[request.key_type]
    fresh = missing_keys({key: value for key, value in secret["data"].items() if key not in replaced})
    patch = {"metadata": {"resourceVersion": secret["metadata"]["resourceVersion"]}, "data": fresh}
    written = await call.caller.merge(SECRETS, secret["metadata"]["name"], patch)
    return _answer(written["data"])


routes.post(
    "/services/{id}/regenerateKeys",
    responses=shows(schemas.AuthKeys),
    operation_id="regenerateServiceKeysByAction",
    summary="The same, where clients of the time ask for it",
)(regenerate_service_keys)


async def _secret(call: Exchange, id_: str) -> Json:
    service = await find_service(call, id_)
    name = service["metadata"]["name"]
    secret = await call.caller.find(SECRETS, keys_name(name))
    owner = owner_of(secret) if secret else None
    if secret is None or owner is None or owner.uid != service["metadata"]["uid"]:
        raise ApiError(
            404, "KeysNotFound", f"service {name} has no keys yet: it gets them with its first image"
        )
    return secret


def _answer(data: Json) -> Response:
    keys: Json = {
        key: base64.b64decode(data[key]).decode() for key in (PRIMARY_KEY, SECONDARY_KEY) if key in data
    }
    return json(keys)
