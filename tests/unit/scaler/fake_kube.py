"""An API server in memory for the scaler: single objects, and reviews of access."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager

import orjson

from modelyard.kube.client import Client
from modelyard.kube.transport import Request, Response
from modelyard.kube.types import ACCESS_REVIEWS, Json

REVIEWS_PATH = ACCESS_REVIEWS.path(None)


class FakeTransport:
    """Objects by path. `allows` decides the reviews by their spec."""

    def __init__(self, objects: dict[str, Json] | None = None) -> None:
        self.objects = objects or {}
        self.requests: list[Request] = []
        self.allows: Callable[[Json], bool] = lambda spec: False
        self.is_away = False

    @property
    def client(self) -> Client:
        async def sleep(_: float) -> None: ...

        return Client(self, sleep=sleep)

    async def close(self) -> None: ...

    def stream(self, request: Request) -> AbstractAsyncContextManager[Response | AsyncIterator[bytes]]:
        raise NotImplementedError

    async def send(self, request: Request) -> Response:
        self.requests.append(request)
        if self.is_away:
            return Response(503, None, b"{}")
        if request.path == REVIEWS_PATH:
            assert request.body is not None
            allowed = self.allows(request.body["spec"])
            return Response(201, None, orjson.dumps({"status": {"allowed": allowed}}))
        if request.path not in self.objects:
            return Response(404, None, b"{}")
        body = self.objects[request.path]
        if request.method == "PATCH":
            assert request.body is not None
            version = request.body["metadata"]["resourceVersion"]
            if version != body["metadata"]["resourceVersion"]:
                return Response(409, None, b"{}")
            for part, value in request.body.items():
                body[part] = {**body.get(part, {}), **value}
            body["metadata"] = {**body["metadata"], "resourceVersion": f"{int(version) + 1}"}
        return Response(200, None, orjson.dumps(body))
