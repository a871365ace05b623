"""A real HTTP server in a thread; a function of the test answers the requests."""

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
    """Says nothing of clients that hang up."""

    daemon_threads = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)


@dataclass
class Answer:
    status: int = 200
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)
    drop_after: int | None = None
    """Bytes of the body after which the connection breaks."""
    chunked: bool = False
    """Sent as one chunk, with no length in front of all of it."""


@dataclass(frozen=True)
class Asked:
    method: str
    path: str
    headers: dict[str, str]


class WebServer:
    """`answer` takes what was asked; everything asked is kept in `asked`."""

    def __init__(self, tls: ssl.SSLContext | None = None) -> None:
        self.asked: list[Asked] = []
        self.answer: Callable[[Asked], Answer] = lambda _: Answer(404)
        self.reads_after_seconds = 0.0
        """How long a body has to wait."""
        self._server = QuietServer(("127.0.0.1", 0), self._handler())
        self._scheme = "https" if tls else "http"
        if tls:
            self._server.socket = tls.wrap_socket(self._server.socket, server_side=True)
        self._thread = threading.Thread(target=lambda: self._server.serve_forever(0.01))
        self._thread.start()

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self._server.server_port}"

    @property
    def url(self) -> str:
        return f"{self._scheme}://{self.address}"

    def stop(self) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        server = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                asked = Asked(self.command, self.path, {k.lower(): v for k, v in self.headers.items()})
                server.asked.append(asked)
                answer = server.answer(asked)
                self.send_response(answer.status)
                length = (
                    {"Transfer-Encoding": "chunked"}
                    if answer.chunked
                    else {"Content-Length": str(len(answer.body))}
                )
                for name, value in (length | answer.headers).items():
                    if value:
                        self.send_header(name, value)
                self.end_headers()
                if self.command == "HEAD":
                    return
                body = (
                    b"%x\r\n%s\r\n0\r\n\r\n" % (len(answer.body), answer.body)
                    if answer.chunked
                    else answer.body
                )
                self.wfile.write(body[: answer.drop_after])
                self.close_connection = self.close_connection or answer.drop_after is not None

            do_HEAD = do_DELETE = do_GET

            def do_POST(self) -> None:
                time.sleep(server.reads_after_seconds)
                self.rfile.read(int(self.headers.get("Content-Length", 0)))
                chunked = self.headers.get("Transfer-Encoding") == "chunked"
                while chunked and (size := int(self.rfile.readline(), 16)):
                    self.rfile.read(size + 2)
                if chunked:
                    self.rfile.readline()
                self.do_GET()

            def log_message(self, *_: object) -> None:
                pass

        return Handler
