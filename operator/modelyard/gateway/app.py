"""The application: routes, errors, docs, health."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.routing import Match, Route
from starlette.types import ASGIApp

from modelyard.gateway import docs
from modelyard.gateway.cluster import Cluster
from modelyard.gateway.errors import ApiError, from_kube, invalid
from modelyard.gateway.middleware import Envelope
from modelyard.gateway.request_context import (
    API_VERSIONS,
    Parts,
)
from modelyard.gateway.routes import deployments, images, keys, manifests, models, operations, services
from modelyard.gateway.settings import GatewaySettings
from modelyard.kube.errors import KubeError

_ROUTES: Final = (models, manifests, images, services, keys, deployments, operations)
# What the framework says by itself; its 400 is of a body that it cannot read.
_CODES: Final = {400: "InvalidJson", 404: "RouteNotFound", 405: "MethodNotAllowed"}


def application(settings: GatewaySettings, cluster: Cluster) -> ASGIApp:
    """The gateway as an ASGI application; it closes the cluster's connections when it ends."""

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        yield
        await cluster.close()

    app = FastAPI(
        title="Modelyard",
        version=API_VERSIONS[0],
        description="Register models, build images of them, serve them: the API of 2017.",
        openapi_url=docs.DOCUMENT,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        lifespan=lifespan,
    )
    app.state.parts = Parts(settings, cluster)
    for module in _ROUTES:
        app.include_router(module.routes)
    _answer_errors(app)
    _answer_probes(app, cluster)
    docs.serve(app)
    return Envelope(app)


def _answer_errors(app: FastAPI) -> None:
    @app.exception_handler(ApiError)
    async def api(_: Request, error: ApiError) -> Response:
        return _response(error)

    @app.exception_handler(KubeError)
    async def kube(_: Request, error: KubeError) -> Response:
        return _response(from_kube(error))

    @app.exception_handler(RequestValidationError)
    async def validation(_: Request, error: RequestValidationError) -> Response:
        return _response(invalid(error.errors()))

    @app.exception_handler(Exception)
    async def unexpected(_: Request, __: Exception) -> Response:
        message = "something went wrong here; the log names the request by this answer's x-ms-request-id"
        return _response(ApiError(500, "InternalError", message))

    @app.exception_handler(HTTPException)
    async def http(request: Request, error: HTTPException) -> Response:
        code = _CODES.get(error.status_code, "InvalidRequest")
        headers = {"Allow": _allowed(request)} if error.status_code == 405 else error.headers
        return _response(ApiError(error.status_code, code, error.detail, headers=headers))


def _allowed(request: Request) -> str:
    """The methods of all routes of a path; the framework knows those of the first one."""
    methods: set[str] = set()
    for route in (route for module in _ROUTES for route in module.routes.routes):
        if isinstance(route, Route) and route.matches(request.scope)[0] is not Match.NONE:
            methods |= route.methods or set()
    return ", ".join(sorted(methods))


def _response(error: ApiError) -> Response:
    return Response(
        error.response.model_dump_json(by_alias=True, exclude_none=True),
        error.status,
        error.headers,
        "application/json",
    )


def _answer_probes(app: FastAPI, cluster: Cluster) -> None:
    @app.get("/healthz", include_in_schema=False)
    async def healthy() -> Response:
        return Response("ok", media_type="text/plain")

    @app.get("/readyz", include_in_schema=False)
    async def ready() -> Response:
        answers = await cluster.ready()
        return Response(
            "ok" if answers else "the API server does not answer",
            200 if answers else 503,
            media_type="text/plain",
        )
