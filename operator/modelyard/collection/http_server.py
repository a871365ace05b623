"""A small HTTP server for metrics and state.

The standard library's server takes 8 MB of memory more. This one answers one connection after the other, each
within a second: its clients are Prometheus, the operator and the kubelet.
"""

from __future__ import annotations

import contextlib
import logging
import socket
import time
from collections.abc import Callable, Mapping
from typing import Final

log = logging.getLogger(__name__)

_CONNECTION_SECONDS: Final = 1.0
_MAX_REQUEST_BYTES: Final = 8192
_BACKLOG: Final = 16

Page = Callable[[], tuple[str, bytes]]
"""Return the media type and the body of a page."""


class HttpServer:
    """Serves pages to GET requests. The constructor binds the port."""

    def __init__(self, port: int, pages: Mapping[str, Page]) -> None:
        """Listen at a port of all addresses, 0 for any. Raises OSError if it is taken."""
        self._pages = pages
        family = socket.AF_INET6 if socket.has_dualstack_ipv6() else socket.AF_INET
        self._socket = socket.create_server(
            ("", port), family=family, dualstack_ipv6=family == socket.AF_INET6, backlog=_BACKLOG
        )
        self.port = int(self._socket.getsockname()[1])

    def serve(self) -> None:
        """Answer connections until close()."""
        while True:
            try:
                connection, _ = self._socket.accept()
            except OSError:
                if self._socket.fileno() < 0:
                    return
                time.sleep(_CONNECTION_SECONDS)  # too many open files, for example
                continue
            with connection, contextlib.suppress(OSError):
                self._answer(connection)

    def close(self) -> None:
        """Stop: serve() returns."""
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()

    def _answer(self, connection: socket.socket) -> None:
        end = time.monotonic() + _CONNECTION_SECONDS
        request = b""
        while b"\r\n\r\n" not in request and len(request) < _MAX_REQUEST_BYTES:
            connection.settimeout(max(0.001, end - time.monotonic()))
            received = connection.recv(_MAX_REQUEST_BYTES)
            if not received:
                return
            request += received
        status, kind, body = self._response(request)
        headers = f"Content-Type: {kind}\r\nContent-Length: {len(body)}\r\nConnection: close"
        head = f"HTTP/1.1 {status}\r\n{headers}\r\n\r\n"
        connection.settimeout(max(0.001, end - time.monotonic()))
        connection.sendall(head.encode() + body)

    def _response(self, request: bytes) -> tuple[str, str, bytes]:
        parts = request.partition(b"\r\n")[0].decode("latin-1").split(" ")
        if len(parts) != 3 or not parts[2].startswith("HTTP/1."):
            return "400 Bad Request", "text/plain", b"the request is no HTTP/1.1\n"
        if parts[0] != "GET":
            return "405 Method Not Allowed", "text/plain", b"only GET is served\n"
        page = self._pages.get(parts[1].partition("?")[0])
        if page is None:
            return "404 Not Found", "text/plain", b"no such page\n"
        try:
            return "200 OK", *page()
        except Exception:
            log.exception("the page %s cannot be made", parts[1])
            return "500 Internal Server Error", "text/plain", b"the page cannot be made: see the log\n"
