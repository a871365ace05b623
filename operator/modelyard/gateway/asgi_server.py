"""HTTP for the gateway: the connections of the scoring runtime, and requests for the ASGI application.

uvicorn limits neither the size nor the time of a request's head. A client without a token could use up the
memory of a process with uvicorn.
"""

from __future__ import annotations

import asyncio
from typing import Final
from urllib.parse import unquote

import orjson
from starlette.types import ASGIApp, Scope

from modelyard.gateway.asgi_exchange import AsgiExchange
from modelyard.gateway.errors import ApiError, token_missing
from modelyard.gateway.middleware import CLIENT_REQUEST_ID, MAX_BODY, RequestIds, record_request, too_large
from modelyard.scoring.front.http_connection import HttpConnection
from modelyard.scoring.front.http_server import HttpServer
from modelyard.scoring.front.messages import HttpRequest, HttpResponse
from modelyard.scoring.front.request_target import origin_path

MAX_CONNECTIONS: Final = 8192  # an idle connection takes 2 KB
MAX_TLS_CONNECTIONS: Final = 512  # one with TLS takes up to 120 KB
_UNSENT_BYTES: Final = 32 * 1024 * 1024  # of unread responses together; a list has up to 8 MiB
_HELD_BYTES: Final = 16 * 1024 * 1024  # of incomplete bodies together


class AsgiServer(HttpServer):
    """Runs the application once for each request, after the whole body has arrived."""

    def __init__(self, app: ASGIApp, scheme: str) -> None:
        most = MAX_TLS_CONNECTIONS if scheme == "https" else MAX_CONNECTIONS
        super().__init__(max_connections=most, max_body_bytes=MAX_BODY, max_unsent_bytes=_UNSENT_BYTES)
        self.draining = False
        self._app = app
        self._scheme = scheme
        self._bodies: dict[HttpRequest, None] = {}
        """Requests whose body is incomplete, in the order in which their heads came."""
        self._exchanges: dict[HttpRequest, AsgiExchange] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def busy(self) -> bool:
        """Return True while a request is received or answered."""
        return bool(self._tasks) or any(connection.is_receiving for connection in self.connections)

    def close_idle(self) -> None:
        """Close all connections without requests."""
        for connection in list(self.connections):
            connection.close_if_idle()

    async def cancel(self) -> None:
        """Cancel the requests that still run, and close all connections."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for connection in list(self.connections):
            connection.abort()

    # --- called by connections

    def admit(self, request: HttpRequest) -> HttpResponse | None:
        """Refuse a body that is too large, or that comes without a token."""
        if request.declared_size == 0:
            return None
        if (request.declared_size or 0) > MAX_BODY:
            return _refusal(request, too_large())
        return None if b"authorization" in request.headers else _refusal(request, token_missing())

    def reserve_body(self, request: HttpRequest, more_bytes: int) -> HttpResponse | None:
        """Count the bytes of a body as they come. Beyond the limit, close the body that began first.

        A token is checked after its request is complete. So a client without a valid token may hold bodies,
        and must not keep out the others.
        """
        if request.reserved_bytes + more_bytes > MAX_BODY:
            return _refusal(request, too_large())
        self._bodies.setdefault(request)
        request.reserved_bytes += more_bytes
        self.held_bytes += more_bytes
        while self.held_bytes > _HELD_BYTES and len(self._bodies) > 1:
            oldest = next(iter(self._bodies))
            self.release(oldest)
            oldest.connection.abort()
        return None

    def dispatch(self, request: HttpRequest) -> None:
        """Run the application in a task."""
        self._bodies.pop(request, None)
        exchange = AsgiExchange(request, self)
        self._exchanges[request] = exchange
        task = asyncio.get_running_loop().create_task(exchange.run(self._app, self._scope(request)))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def abandon(self, request: HttpRequest) -> None:
        """Report to the application that the client has left."""
        exchange = self._exchanges.get(request)
        if exchange is not None:
            exchange.left.set()

    def release(self, request: HttpRequest) -> None:
        """Stop counting the body of an ended request."""
        self._bodies.pop(request, None)
        self._exchanges.pop(request, None)
        self.held_bytes -= request.reserved_bytes
        request.reserved_bytes = 0

    def throttle(self, connection: HttpConnection) -> None:
        """Resume at once: no response of the gateway throttles."""
        connection.resume_reading()

    def _scope(self, request: HttpRequest) -> Scope:
        path = origin_path(request.path)
        return {
            "type": "http",
            "asgi": {"version": "3.0", "spec_version": "2.3"},
            "http_version": "1.0" if request.is_http_1_0 else "1.1",
            "method": request.method,
            "scheme": self._scheme,
            "path": unquote(path),
            "raw_path": path.encode("latin-1"),
            "query_string": request.query,
            "root_path": "",
            "headers": list(request.headers.items()),
            "client": None,
            "server": None,
        }


def _refusal(request: HttpRequest, error: ApiError) -> HttpResponse:
    """Return the response to a request that does not reach the application, and log the request."""
    ids = RequestIds(request.headers.get(CLIENT_REQUEST_ID.encode(), b"").decode("latin-1"))
    record_request(request.method, request.path, error.status, ids, seconds=0.0)
    headers = {**ids.headers, "cache-control": "no-store", **error.headers}
    lines = "".join(f"{name.lower()}: {value}\r\n" for name, value in headers.items())
    return HttpResponse(error.status, orjson.dumps(error.response.to_json()), header_lines=lines.encode())
