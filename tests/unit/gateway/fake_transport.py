"""The HTTP interface of the API server in memory, below the real Kubernetes client.

FakeApiServer stands for the client in the operator's tests, where the schedule of calls is simulated. The
gateway's tests need the client's requests: tokens, paths, status codes, Retry-After. So this fake
has no objects of its own: it converts requests into calls of a FakeApiServer.
"""

from __future__ import annotations

import asyncio
import base64
import re
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager
from typing import Final

import orjson
from tests.unit.fake_api_server import FakeApiServer

from modelyard.api.resources import CUSTOM_RESOURCES
from modelyard.kube.errors import AlreadyExists, Conflict, KubeError, NotFound, Rejected, from_status
from modelyard.kube.transport import Request, Response, ResponseTooLargeError, TransportError
from modelyard.kube.types import CONFIG_MAPS, REVISIONS, SECRETS, Json

_RESOURCES: Final = {
    resource.path("default").removesuffix(f"default/{resource.plural}") + resource.plural: resource
    for resource in (*CUSTOM_RESOURCES.values(), REVISIONS, SECRETS, CONFIG_MAPS)
}
_PATH: Final = re.compile(r"(/api.*/namespaces/)([^/]+)/([^/]+)(?:/([^/]+))?")
_NAMESPACE: Final = re.compile(r"/api/v1/namespaces/([^/]+)")
_STATUSES: Final = {NotFound: 404, AlreadyExists: 409, Conflict: 409}


class FakeTransport:
    """A transport to an API server with one namespace, which has labels. Tokens are names of roles.

    `before` and `after` are called with method and path before and after a request takes effect. A KubeError
    that they raise becomes the response; an error without a status becomes a broken connection.
    """

    def __init__(self, cluster: FakeApiServer, labels: Mapping[str, str]):
        self.cluster = cluster
        self.labels = dict(labels)
        self.requests: list[Request] = []
        self.before: Callable[[str, str], None] = lambda method, path: None
        self.after: Callable[[str, str], None] = lambda method, path: None

    async def close(self) -> None:
        """Do nothing: there are no connections."""

    def stream(self, request: Request) -> AbstractAsyncContextManager[Response | AsyncIterator[bytes]]:
        """Fail: the gateway neither watches objects nor follows logs."""
        raise NotImplementedError

    async def send(self, request: Request) -> Response:
        """Return the response to a request."""
        self.requests.append(request)
        await asyncio.sleep(0)
        try:
            response = Response(200, None, orjson.dumps(self._handle(request)))
        except KubeError as error:
            return _response(error)
        if request.max_bytes is not None and len(response.body) > request.max_bytes:
            raise ResponseTooLargeError
        return response

    def _handle(self, request: Request) -> Json:
        method, path = request.method, request.path
        self.before(method, path)
        if path in {"/readyz", "/version"}:
            return {}
        if request.token not in {"editor", "viewer"}:
            raise from_status(401, {"message": "Unauthorized", "reason": "Unauthorized"}, None)
        if request.token == "viewer" and (method != "GET" or "/secrets" in path):
            raise from_status(403, {"message": "forbidden", "reason": "Forbidden"}, None)
        body = self._call(request)
        self.after(method, path)
        return body

    def _call(self, request: Request) -> Json:
        if match := _NAMESPACE.fullmatch(request.path):
            if match[1] != "default":
                raise NotFound("namespace not found")
            return {"metadata": {"name": match[1], "labels": self.labels}}
        match = _PATH.fullmatch(request.path)
        assert match, request.path
        resource = _RESOURCES[match[1] + match[3]]
        namespace, name = match[2], match[4]
        if request.method == "POST":
            assert request.body
            return self.cluster.put(resource, namespace, dict(request.body))
        if name is None:
            selector = request.query.get("labelSelector")
            found = [item for item in self.cluster.all(resource) if _is_selected(selector, item)]
            return _page(found, int(request.query["limit"]), request.query.get("continue"))
        if request.method == "GET":
            return self.cluster.at(resource, name, namespace)
        if request.method == "PATCH":
            assert request.body
            return self.cluster.change(resource, namespace, name, dict(request.body))
        self.cluster.at(resource, name, namespace)
        self.cluster.remove(resource, namespace, name)
        return {}


def _response(error: KubeError) -> Response:
    status = error.status or _STATUSES.get(type(error), 0)
    if not status:
        raise TransportError(error.message)
    body = {"message": error.message, "reason": error.reason, "code": status} | error.body
    return Response(status, error.retry_after, orjson.dumps(body))


def _is_selected(selector: str | None, body: Json) -> bool:
    if selector is None:
        return True
    label, _, names = selector.partition(" in ")
    value = (body["metadata"].get("labels") or {}).get(label)
    return value is not None and (not names or value in names.strip("()").split(","))


def _page(items: list[Json], limit: int, continue_token: str | None) -> Json:
    if continue_token and not continue_token.startswith("c"):
        raise Rejected("continue key is not valid", status=400)
    after = base64.b64decode(continue_token[1:]).decode() if continue_token else ""
    remaining = sorted((item for item in items if item["metadata"]["name"] > after), key=_name)
    page = remaining[:limit]
    metadata = {}
    if len(remaining) > limit:
        metadata["continue"] = "c" + base64.b64encode(_name(page[-1]).encode()).decode()
    return {"items": page, "metadata": metadata}


def _name(body: Json) -> str:
    return str(body["metadata"]["name"])
