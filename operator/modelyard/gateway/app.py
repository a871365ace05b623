"""The ASGI application: routes, error responses, docs and probes."""

from __future__ import annotations

import asyncio
from typing import Final

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.routing import Match, Route
from starlette.types import ASGIApp

from modelyard.gateway import docs, error_codes
from modelyard.gateway.errors import ApiError, from_kube, validation_error
from modelyard.gateway.middleware import ERROR, GatewayMiddleware
from modelyard.gateway.registration import Sleep
from modelyard.gateway.request_context import API_VERSIONS, AppState
from modelyard.gateway.routes import deployments, images, keys, manifests, models, operations, services
from modelyard.gateway.settings import GatewaySettings
from modelyard.kube.client import Client
from modelyard.kube.errors import KubeError

_ROUTES: Final = (models, manifests, images, services, keys, deployments, operations)
# The errors that the framework raises; its 400 means a body that it cannot decode.
_OF_FRAMEWORK: Final = {
    error.status: error
    for error in (error_codes.INVALID_JSON, error_codes.ROUTE_NOT_FOUND, error_codes.METHOD_NOT_ALLOWED)
}


def application(settings: GatewaySettings, client: Client, sleep: Sleep = asyncio.sleep) -> ASGIApp:
    """Return the gateway as an ASGI application."""
    app = FastAPI(
        title="Modelyard",
        version=API_VERSIONS[0],
        description="Register models, build images of them, serve them: the API of 2017.",
        openapi_url=docs.DOCUMENT,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
    )
    app.state.gateway = AppState(settings, client, sleep)
    for module in _ROUTES:
        app.include_router(module.routes)
    _add_error_handlers(app)
    _add_probes(app, client)
    docs.serve(app)
    return GatewayMiddleware(app)


def _add_error_handlers(app: FastAPI) -> None:
    @app.exception_handler(ApiError)
    async def api(request: Request, error: ApiError) -> Response:
        return _response(request, error)

    @app.exception_handler(KubeError)
    async def kube(request: Request, error: KubeError) -> Response:
        return _response(request, from_kube(error))

    @app.exception_handler(RequestValidationError)
    async def validation(request: Request, error: RequestValidationError) -> Response:
        return _response(request, validation_error(error.errors()))

    @app.exception_handler(Exception)
    async def unexpected(request: Request, __: Exception) -> Response:
        message = "the gateway failed: report the x-ms-request-id of this response, which the log has too"
        return _response(request, ApiError(error_codes.INTERNAL_ERROR, message))

    @app.exception_handler(HTTPException)
    async def http(request: Request, error: HTTPException) -> Response:
        code = _OF_FRAMEWORK.get(error.status_code, error_codes.INVALID_REQUEST)
        headers = {"Allow": _allowed_methods(request)} if error.status_code == 405 else error.headers
        return _response(request, ApiError(code, error.detail, headers=headers))


def _allowed_methods(request: Request) -> str:
    """Return the methods of all routes of a path; the framework returns those of the first route only."""
    methods: set[str] = set()
    for route in (route for module in _ROUTES for route in module.routes.routes):
        if isinstance(route, Route) and route.matches(request.scope)[0] is not Match.NONE:
            methods |= route.methods or set()
    return ", ".join(sorted(methods))


def _response(request: Request, error: ApiError) -> Response:
    setattr(request.state, ERROR, error)  # for the line of log
    return Response(
        error.response.model_dump_json(by_alias=True, exclude_none=True),
        error.status,
        error.headers,
        "application/json",
    )


def _add_probes(app: FastAPI, client: Client) -> None:
    @app.get("/healthz", include_in_schema=False)
    async def healthy() -> Response:
        return Response("ok", media_type="text/plain")

    @app.get("/readyz", include_in_schema=False)
    async def ready() -> Response:
        responds = await client.responds()
        return Response(
            "ok" if responds else "the API server does not respond",
            200 if responds else 503,
            media_type="text/plain",
        )
