"""What routes answer, and how the document describes it."""

from __future__ import annotations

from typing import Any, Final

import orjson
from fastapi import APIRouter, Depends, Response

from modelyard.api.status import ErrorResponse
from modelyard.gateway.request_context import (
    AccountRoute,
    bearer,
)
from modelyard.kube.types import Json

PREFIX: Final = (
    "/api/subscriptions/{subscriptionId}/resourceGroups/{resourceGroupName}/accounts/{accountName}"
)
OPERATION_LOCATION: Final = "Operation-Location"
_REQUEST_IDS: Final = {
    "x-ms-request-id": {"description": "Id of this exchange.", "schema": {"type": "string"}},
    "x-ms-client-request-id": {
        "description": "The client's own id of it, or the same.", "schema": {"type": "string"},
    },
}  # fmt: skip
_OTHERWISE: Final[dict[int | str, dict[str, Any]]] = {
    "default": {"model": ErrorResponse, "description": "Why the call failed.", "headers": _REQUEST_IDS}
}
ACCEPTED: Final[dict[int | str, dict[str, Any]]] = {
    202: {
        "description": "The URL of the operation, which says how it goes.",
        "headers": {
            OPERATION_LOCATION: {
                "description": "URL of the operation.", "schema": {"type": "string", "format": "uri"},
            }
        },
    }
}  # fmt: skip


def router(tag: str) -> APIRouter:
    """A router below the account whose routes may all fail with an ErrorResponse."""
    return APIRouter(
        prefix=PREFIX,
        tags=[tag],
        responses=_OTHERWISE,
        route_class=AccountRoute,
        dependencies=[Depends(bearer)],  # for the document; the route itself looks at it
    )


def shows(type_: object, description: str = "Success.") -> dict[int | str, dict[str, Any]]:
    """The documentation of a 200."""
    return {200: {"model": type_, "description": description}}


def json(body: Json | list[Json], status: int = 200) -> Response:
    """A JSON answer."""
    return Response(orjson.dumps(body), status, media_type="application/json")


def accepted(location: str) -> Response:
    """202 with the URL of the operation."""
    return Response(status_code=202, headers={OPERATION_LOCATION: location})
