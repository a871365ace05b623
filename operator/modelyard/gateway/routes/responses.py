"""Responses of routes, and their description in the OpenAPI document."""

from __future__ import annotations

from typing import Any, Final

import orjson
from fastapi import APIRouter, Depends, Response

from modelyard.api.status import ErrorResponse
from modelyard.gateway.request_context import AccountRoute, bearer, list_slot
from modelyard.kube.types import Json

PREFIX: Final = (
    "/api/subscriptions/{subscriptionId}/resourceGroups/{resourceGroupName}/accounts/{accountName}"
)
LIST_SLOT: Final = Depends(list_slot)
OPERATION_LOCATION: Final = "Operation-Location"
_REQUEST_IDS: Final = {
    "x-ms-request-id": {"description": "Id of this request.", "schema": {"type": "string"}},
    "x-ms-client-request-id": {
        "description": "The client's own id of the request, or the same.", "schema": {"type": "string"},
    },
}  # fmt: skip
_ERRORS: Final[dict[int | str, dict[str, Any]]] = {
    "default": {"model": ErrorResponse, "description": "Why the call failed.", "headers": _REQUEST_IDS}
}
ACCEPTED: Final[dict[int | str, dict[str, Any]]] = {
    202: {
        "description": "The operation has begun; its URL returns its state.",
        "headers": {
            OPERATION_LOCATION: {
                "description": "URL of the operation.", "schema": {"type": "string", "format": "uri"},
            }
        },
    }
}  # fmt: skip


def router(tag: str) -> APIRouter:
    """Return a router below the account, whose routes may fail with an ErrorResponse."""
    return APIRouter(
        prefix=PREFIX,
        tags=[tag],
        responses=_ERRORS,
        route_class=AccountRoute,
        dependencies=[Depends(bearer)],  # for the OpenAPI document: AccountRoute checks the token
    )


def ok_response(type_: object, description: str = "Success.") -> dict[int | str, dict[str, Any]]:
    """Return the OpenAPI description of a 200."""
    return {200: {"model": type_, "description": description}}


def json(body: Json | list[Json] | list[orjson.Fragment], status: int = 200) -> Response:
    """Return a JSON response; a fragment is JSON already."""
    return Response(orjson.dumps(body), status, media_type="application/json")


def accepted(location: str) -> Response:
    """Return a 202 with the URL of the operation."""
    return Response(status_code=202, headers={OPERATION_LOCATION: location})
