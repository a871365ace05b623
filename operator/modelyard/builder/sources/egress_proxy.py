"""The policy for what has sockets of its own: uv, and rattler.

They are given a proxy on loopback, which is a thread of the build and opens every connection where the policy
looks at it: after names were resolved, for redirects and for links of an index too.
"""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from io import BufferedIOBase
from socketserver import StreamRequestHandler, ThreadingTCPServer
from typing import Final, cast
from urllib.parse import urlsplit, urlunsplit

from modelyard.builder.sources.egress_policy import EgressPolicy
from modelyard.contract.errors import (
    SourceDeniedError,
    about,
)
from modelyard.contract.urls import scheme

Place = tuple[str, int]
"""Host and port."""

_PORTS: Final = {"http": 80, "https": 443}
_CONNECT_SECONDS: Final = 10.0
_POLL_SECONDS: Final = 0.05  # until the end is noticed
_SILENCE_SECONDS: Final = 300.0  # longer than those who ask wait themselves
_LINE_BYTES: Final = 64 * 1024
_HEAD_LINES: Final = 100
_CHUNK_BYTES: Final = 256 * 1024
_HOP: Final = (b"connection:", b"keep-alive:", b"proxy-", b"te:", b"upgrade:")
"""Headers for the proxy itself: https://www.rfc-editor.org/rfc/rfc9110#name-connection."""


def place_of(url: str) -> Place | None:
    """Where an http(s) URL leads; None for another one, or one that is damaged."""
    try:
        parts = urlsplit(url)
        return (parts.hostname, parts.port or _PORTS[parts.scheme]) if parts.hostname else None
    except (ValueError, KeyError):
        return None


@contextmanager
def run_egress_proxy(
    policy: EgressPolicy, subject: str, urls: Sequence[str], trusted: Iterable[str]
) -> Iterator[str | None]:
    """The proxy for what fetches from a user's `urls`, and wherever they lead; None without need.

    The places of `trusted` URLs are the platform's own. Raises SourceDeniedError, about the `subject`, for a
    scheme that is not allowed; and for a connection that was refused, whatever became of what is inside.
    """
    places = frozenset(filter(None, map(place_of, trusted)))
    # A folder is the platform's own mirror: users' URLs are of the web.
    foreign = [url for url in urls if scheme(url) != "file" and place_of(url) not in places]
    with about(subject):
        for url in foreign:
            policy.check_scheme(url)
    if not foreign or not policy.denied:
        yield None
        return
    with _Guard(policy, places) as guard:
        threading.Thread(target=guard.serve_forever, args=(_POLL_SECONDS,), daemon=True).start()
        failure: Exception | None = None
        try:
            yield f"http://127.0.0.1:{guard.server_address[1]}"
        except Exception as error:
            failure = error
        finally:
            guard.shutdown()
        if guard.denied:
            hosts = ", ".join(sorted(guard.denied))
            with about(subject):
                raise SourceDeniedError(
                    f"{hosts} leads to an address that downloads may not use here"
                ) from failure
        if failure:
            raise failure


class _Guard(ThreadingTCPServer):
    daemon_threads = True
    block_on_close = False  # who asked is gone, or was killed

    def __init__(self, policy: EgressPolicy, trusted: frozenset[Place]) -> None:
        super().__init__(("127.0.0.1", 0), _Connection)
        self._policy = policy
        self._trusted = trusted
        self.denied: set[str] = set()
        """Hosts that somebody wanted to reach, and must not."""

    def connect(self, place: Place) -> socket.socket:
        """Raises OSError, SourceDeniedError."""
        if place in self._trusted:
            return socket.create_connection(place, _CONNECT_SECONDS)
        try:
            with self._policy.connecting():
                return socket.create_connection(place, _CONNECT_SECONDS)
        except SourceDeniedError:
            self.denied.add(place[0])
            raise


class _Connection(StreamRequestHandler):
    """One tunnel (CONNECT), or one request by plain HTTP with its answer."""

    timeout = _SILENCE_SECONDS

    def handle(self) -> None:
        with contextlib.suppress(OSError):  # one of both has gone
            self._handle()

    def _handle(self) -> None:
        head = _head(self.rfile)
        method, _, rest = head[0].decode("latin-1").partition(" ")
        target = rest.partition(" ")[0]
        is_tunnel = method == "CONNECT"
        place = place_of(f"https://{target}" if is_tunnel else target)
        if place is None:
            self._answer("400 Bad Request")
            return
        try:
            remote = cast("_Guard", self.server).connect(place)
        except SourceDeniedError:
            self._answer("403 Forbidden")
            return
        except OSError:
            self._answer("502 Bad Gateway")
            return
        with remote:
            remote.settimeout(_SILENCE_SECONDS)
            self.connection.settimeout(None)  # who waits for a long answer is silent
            if is_tunnel:
                self._answer("200 Connection Established")
                threading.Thread(target=_pump, args=(self.connection, remote), daemon=True).start()
                _pump(remote, self.connection)
                return
            remote.sendall(_only(_asked(method, target), head[1:]))
            with remote.makefile("rb") as answer:
                status, *headers = _head(answer)
                self.wfile.write(_only(status, headers))
                while chunk := answer.read1(_CHUNK_BYTES):
                    self.wfile.write(chunk)

    def _answer(self, status: str) -> None:
        length = "" if status.startswith("200") else "Content-Length: 0\r\n"
        self.wfile.write(f"HTTP/1.1 {status}\r\n{length}\r\n".encode())


def _head(file: BufferedIOBase) -> list[bytes]:
    """The first line and those of the headers; raises ConnectionError when there is none, or no end."""
    lines = [file.readline(_LINE_BYTES)]
    while lines[-1].strip():
        lines.append(file.readline(_LINE_BYTES))
        if len(lines) > _HEAD_LINES:
            raise ConnectionError
    if len(lines) == 1:
        raise ConnectionError
    return lines[:-1]


def _asked(method: str, target: str) -> bytes:
    """The first line for the server itself."""
    parts = urlsplit(target)
    path = urlunsplit(("", "", parts.path or "/", parts.query, ""))
    return f"{method} {path} HTTP/1.1\r\n".encode("latin-1")


def _only(first: bytes, headers: list[bytes]) -> bytes:
    """The head of the only request, or answer, on a connection."""
    kept = [line for line in headers if not line.lower().startswith(_HOP)]
    return b"".join((first, *kept, b"Connection: close\r\n\r\n"))


def _pump(source: socket.socket, target: socket.socket) -> None:
    """Until there is no more; then `target` is told so."""
    with contextlib.suppress(OSError):
        while chunk := source.recv(_CHUNK_BYTES):
            target.sendall(chunk)
    with contextlib.suppress(OSError):
        target.shutdown(socket.SHUT_WR)
