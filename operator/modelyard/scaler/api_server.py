"""HTTP of the custom metrics API: identity and rights of the caller, and the answer.

It serves with the connections of the scoring runtime and of the gateway, whose limits count before a client
is authenticated.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable
from typing import Final
from urllib.parse import unquote

import orjson

from modelyard.kube.errors import KubeError
from modelyard.scaler import metric_documents, metrics
from modelyard.scaler.authentication import VALUE_SEPARATOR, RequestHeaders, User
from modelyard.scaler.authorization import Authorization
from modelyard.scaler.metrics_api import Answer, discovery, not_found, parse_path, read_metric
from modelyard.scaler.replicas import Replica
from modelyard.scoring.front.http_connection import Application, HttpConnection
from modelyard.scoring.front.http_server import HttpServer
from modelyard.scoring.front.messages import HttpRequest, HttpResponse, text_response
from modelyard.scoring.front.request_target import origin_path

MAX_CONNECTIONS: Final = 512
"""A connection with TLS takes up to 120 KB."""
_READ_METHODS: Final = ("GET", "HEAD")
_OK: Final = text_response(200, "ok")
_LOG: Final = logging.getLogger(__name__)


class ApiConnection(HttpConnection):
    """A connection that knows the certificate of its client."""

    def __init__(self, application: Application) -> None:
        super().__init__(application)
        self._parser.separator = VALUE_SEPARATOR
        self.common_name: str | None = None
        """Common name of the client's certificate, None without one. TLS has checked its authority."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Read the client's certificate."""
        self.common_name = _common_name(transport.get_extra_info("peercert"))
        super().connection_made(transport)


class ApiServer(HttpServer):
    """Answers the requests that the API server forwards, and the kubelet's probes.

    `replicas` returns the replicas of a namespace with recent figures. `reason_not_ready` returns a text,
    empty if the scaler is ready.
    """

    def __init__(
        self,
        authorization: Authorization,
        replicas: Callable[[str], Iterable[Replica]],
        reason_not_ready: Callable[[], str],
    ) -> None:
        super().__init__(max_connections=MAX_CONNECTIONS, max_body_bytes=0)
        self.draining = False
        self.request_headers: RequestHeaders | None = None
        """How the API server proves the identity of a caller; None before the first read."""
        self._authorization = authorization
        self._replicas = replicas
        self._reason_not_ready = reason_not_ready
        self._tasks: set[asyncio.Task[None]] = set()

    async def finish(self, seconds: float) -> None:
        """Wait until all requests are answered, for a bounded time."""
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=seconds)

    # --- called by connections

    def admit(self, request: HttpRequest) -> HttpResponse | None:
        """Refuse other methods than GET. Bodies are not read."""
        request.drops_body = True
        if request.method in _READ_METHODS:
            return None
        return _response(_failure(405, "MethodNotAllowed", "custom metrics can be read only: use GET"))

    def reserve_body(self, _: HttpRequest, __: int) -> HttpResponse | None:
        """Refuse a body."""
        return _response(_failure(413, "RequestEntityTooLarge", "GET has no body"))

    def dispatch(self, request: HttpRequest) -> None:
        """Answer probes at once, and others in a task: the API server may be asked for the user's rights."""
        path = unquote(origin_path(request.path))
        if path in {"/healthz", "/livez", "/readyz"}:
            reason = self._reason_not_ready() if path == "/readyz" else ""
            request.connection.respond(request, text_response(503, reason) if reason else _OK)
            return
        task = asyncio.get_running_loop().create_task(self._respond(request, path))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def abandon(self, request: HttpRequest) -> None:
        """Do nothing: an answer takes milliseconds."""

    def release(self, request: HttpRequest) -> None:
        """Do nothing: a request holds no memory."""

    def throttle(self, connection: HttpConnection) -> None:
        """Resume at once: no response throttles."""
        connection.resume_reading()

    async def _respond(self, request: HttpRequest, path: str) -> None:
        try:
            answer = await self._answer(request, path)
        except KubeError as error:
            _LOG.warning("rights of a user: %s", error)
            message = f"the API server does not tell the rights of the user: {error}"
            answer = _failure(503, "ServiceUnavailable", message)
        metrics.count_api_request(answer.code)
        request.connection.respond(request, _response(answer))

    async def _answer(self, request: HttpRequest, path: str) -> Answer:
        """Return the answer to a request. Raises KubeError."""
        user = self._user(request)
        if user is None:
            message = "only the API server may call this address: use kubectl get --raw and the path"
            return _failure(401, "Unauthorized", message)
        document = discovery(path)
        if document is not None:
            return Answer(200, document)
        metric = parse_path(path)
        if metric is None:
            return not_found(f"the path {path[:200]} is not one of custom metrics")
        if not await self._authorization.allows(user, metric.namespace, metric.pod):
            message = (
                f"user {user.name} cannot get pods/{metric.metric} of custom.metrics.k8s.io in the namespace"
                f" {metric.namespace}: bind a role with this right"
            )
            return _failure(403, "Forbidden", message)
        return read_metric(metric, request.query.decode("latin-1"), self._replicas(metric.namespace))

    def _user(self, request: HttpRequest) -> User | None:
        connection = request.connection
        if self.request_headers is None or not isinstance(connection, ApiConnection):
            return None
        return self.request_headers.user(connection.common_name, request.headers)


def _failure(code: int, reason: str, message: str) -> Answer:
    return Answer(code, metric_documents.status(code, reason, message))


def _response(answer: Answer) -> HttpResponse:
    return HttpResponse(answer.code, orjson.dumps(answer.body))


def _common_name(certificate: dict[str, tuple[tuple[tuple[str, str], ...], ...]] | None) -> str | None:
    """Return the common name in the form of ssl.SSLSocket.getpeercert()."""
    parts = (part for group in (certificate or {}).get("subject", ()) for part in group)
    return next((value for name, value in parts if name == "commonName"), None)
