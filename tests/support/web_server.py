"""A real HTTP server in a thread, whose responses come from a function of the test."""

from __future__ import annotations

import ssl
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


class QuietServer(ThreadingHTTPServer):
    """Does not log connections that clients close."""

    daemon_threads = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)


@dataclass
class Response:
    """The response of the server to one request."""

    status: int = 200
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)
    drop_after: int | None = None
    """Bytes of the body after which the server closes the connection."""
    chunked: bool = False
    """True to send the body as one chunk, without a Content-Length."""


@dataclass(frozen=True)
class Request:
    """A request that the server has received. Names of headers are in lower case."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes = b""
    """The body, if it came with a Content-Length."""


class WebServer:
    """Responds with the result of `respond`, and appends each request to `requests`."""

    def __init__(self, tls: ssl.SSLContext | None = None) -> None:
        self.requests: list[Request] = []
        self.respond: Callable[[Request], Response] = lambda _: Response(404)
        self.reads_after_seconds = 0.0
        """Seconds before the server reads the body of a request."""
        self._server = QuietServer(("127.0.0.1", 0), self._handler())
        self._scheme = "https" if tls else "http"
        if tls:
            self._server.socket = tls.wrap_socket(self._server.socket, server_side=True)
        self._thread = threading.Thread(target=lambda: self._server.serve_forever(0.01))
        self._thread.start()

    @property
    def address(self) -> str:
        """Return the address as `host:port`."""
        return f"127.0.0.1:{self._server.server_port}"

    @property
    def url(self) -> str:
        """Return the URL of the server, without a path."""
        return f"{self._scheme}://{self.address}"

    def stop(self) -> None:
        """Stop the server."""
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        server = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            body = b""

            def do_GET(self) -> None:
                headers = {k.lower(): v for k, v in self.headers.items()}
                request = Request(self.command, self.path, headers, self.body)
                server.requests.append(request)
                response = server.respond(request)
                self.send_response(response.status)
                length = (
                    {"Transfer-Encoding": "chunked"}
                    if response.chunked
                    else {"Content-Length": str(len(response.body))}
                )
                for name, value in (length | response.headers).items():
                    if value:
                        self.send_header(name, value)
                self.end_headers()
                if self.command == "HEAD":
                    return
                body = (
                    b"%x\r\n%s\r\n0\r\n\r\n" % (len(response.body), response.body)
                    if response.chunked
                    else response.body
                )
                self.wfile.write(body[: response.drop_after])
                self.close_connection = self.close_connection or response.drop_after is not None

            do_HEAD = do_DELETE = do_GET

            def do_POST(self) -> None:
                time.sleep(server.reads_after_seconds)
                self.body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                chunked = self.headers.get("Transfer-Encoding") == "chunked"
                while chunked and (size := int(self.rfile.readline(), 16)):
                    self.rfile.read(size + 2)
                if chunked:
                    self.rfile.readline()
                self.do_GET()
                self.body = b""

            do_PUT = do_POST

            def log_message(self, *_: object) -> None:
                pass

        return Handler
