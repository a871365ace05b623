"""One request and its response, as an ASGI application sees them (https://asgi.readthedocs.io)."""

from __future__ import annotations

import asyncio
from typing import Protocol

from starlette.types import ASGIApp, Message, Scope

from modelyard.scoring.contract import BODILESS
from modelyard.scoring.front.http_response import LAST_CHUNK, chunk, connection_line, status_line
from modelyard.scoring.front.messages import HttpRequest


class Server(Protocol):
    """The server's state that a response depends on."""

    date_line: bytes

    @property
    def draining(self) -> bool:
        """Return True if connections close after their next response."""


class AsgiExchange:
    """Gives the application a request, and writes the response to the connection."""

    def __init__(self, request: HttpRequest, server: Server) -> None:
        self.left = asyncio.Event()
        """The client has left, or the response is complete."""
        self._request = request
        self._server = server
        self._start: Message = {}
        self._has_read_body = False
        self._has_written_head = False
        self._is_chunked = False
        self._keep_alive = False

    async def run(self, app: ASGIApp, scope: Scope) -> None:
        """Run the application. Close the connection if the application gives no complete response."""
        try:
            await app(scope, self.receive, self.send)
        finally:
            if not self.left.is_set():
                self._request.connection.abort()

    async def receive(self) -> Message:
        """Return the body, then wait until the client leaves."""
        if self._has_read_body:
            await self.left.wait()
            return {"type": "http.disconnect"}
        self._has_read_body = True
        body = b"".join(self._request.chunks)
        self._request.chunks = []
        return {"type": "http.request", "body": body, "more_body": False}

    async def send(self, message: Message) -> None:
        """Write a part of the response."""
        if message["type"] == "http.response.start":
            self._start = message
            return
        if self.left.is_set():
            return
        body: bytes = message.get("body", b"")
        has_more: bool = message.get("more_body", False)
        head = b""
        if not self._has_written_head:
            self._has_written_head = True
            head = self._head(None if has_more else len(body))
        if self._request.method == "HEAD" or self._start["status"] in BODILESS:
            body = b""
        elif self._is_chunked:
            body = (chunk(body) if body else b"") + (b"" if has_more else LAST_CHUNK)
        connection = self._request.connection
        connection.write(self._request, head + body)
        if not has_more:
            self.left.set()
            connection.end_response(self._request, keep_alive=self._keep_alive)

    def _head(self, size: int | None) -> bytes:
        """Return status line and headers of a body of `size` bytes; None if it comes in parts."""
        request, status = self._request, self._start["status"]
        headers: list[tuple[bytes, bytes]] = list(self._start.get("headers", ()))
        is_sized = status in BODILESS or any(name == b"content-length" for name, _ in headers)
        self._keep_alive = request.keep_alive and not self._server.draining
        if not is_sized and size is not None:
            headers.append((b"content-length", b"%d" % size))
        elif not is_sized and request.is_http_1_0:
            self._keep_alive = False  # the end of the connection is the end of the body
        elif not is_sized:
            self._is_chunked = True
            headers.append((b"transfer-encoding", b"chunked"))
        lines = [b"%b: %b\r\n" % line for line in headers]
        lines.append(connection_line(request, keep_alive=self._keep_alive))
        return status_line(status) + self._server.date_line + b"".join(lines) + b"\r\n"
