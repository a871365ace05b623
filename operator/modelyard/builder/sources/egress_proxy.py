"""A proxy that applies the egress policy to programs and libraries that open sockets outside of Python.

These are uv, rattler and the library for object stores. The proxy is a thread of the build that listens on
loopback. It opens every connection, so that the audit hook of egress_policy.py checks the address. The check
comes after names were resolved. It applies to redirects and to the links of a package index, too.

A proxy of the platform resolves names itself. So only hosts that are IP addresses are checked before it.
"""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from socketserver import StreamRequestHandler, ThreadingTCPServer
from typing import Final, NamedTuple, Self, TypeVar, cast
from urllib.parse import urlsplit, urlunsplit

from modelyard.builder.sources.egress_policy import EgressPolicy
from modelyard.builder.sources.platform_proxy import (
    CONNECT_SECONDS,
    HostPort,
    PlatformProxies,
    authority_of,
    connect_to_proxy,
    host_port_of,
    open_tunnel,
    read_head,
)
from modelyard.contract.errors import (
    SourceDeniedError,
)

T = TypeVar("T")

_POLL_SECONDS: Final = 0.05  # maximum wait for the end of serve_forever
IDLE_SECONDS: Final = 300.0  # longer than the timeouts of uv and rattler, which report a timeout better
_CHUNK_BYTES: Final = 256 * 1024
_HOP_BY_HOP: Final = (b"connection:", b"keep-alive:", b"proxy-", b"te:", b"upgrade:")
"""Header fields that a proxy must not forward: https://www.rfc-editor.org/rfc/rfc9110#name-connection."""


class Route(NamedTuple):
    """A connection for one plain HTTP request: to its server, or to a proxy."""

    connection: socket.socket
    origin: str = ""
    """The start of the request's target, which a proxy needs."""
    headers: tuple[bytes, ...] = ()


class EgressProxy(ThreadingTCPServer):
    """The proxy as a context manager: its thread runs inside of the block."""

    daemon_threads = True
    block_on_close = False  # the clients have exited, or were killed

    def __init__(
        self,
        policy: EgressPolicy,
        trusted_hosts: frozenset[HostPort] = frozenset(),
        proxies: Mapping[str, str] | None = None,
        *,
        checks_schemes: bool = False,
        handler: type[ProxyConnection] | None = None,
    ) -> None:
        """`proxies` are variables such as HTTPS_PROXY and NO_PROXY.

        `checks_schemes` applies the schemes of the policy to each connection, and so to redirects.

        An object store has a scheme of its own, so the schemes do not apply to its connections.
        """
        super().__init__(("127.0.0.1", 0), handler or ProxyConnection)
        self._policy = policy
        self._trusted_hosts = trusted_hosts
        self._proxies = PlatformProxies(proxies or {})
        self._checks_schemes = checks_schemes
        self._denials: set[str] = set()
        """Messages about the connections that the policy refused."""

    def __enter__(self) -> Self:
        threading.Thread(target=self.serve_forever, args=(_POLL_SECONDS,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.shutdown()
        self.server_close()

    @property
    def url(self) -> str:
        """Return the URL of the proxy."""
        return f"http://127.0.0.1:{self.server_address[1]}"

    def check(self, failure: Exception | None = None) -> None:
        """Raise SourceDeniedError, caused by `failure`, if the proxy has refused a connection."""
        if self._denials:
            raise SourceDeniedError("; ".join(sorted(self._denials))) from failure

    def connect(self, destination: HostPort) -> socket.socket:
        """Open a connection for TLS, through a tunnel of the platform's proxy if there is one for the host.

        Raises OSError, UnicodeError, and SourceDeniedError if the policy forbids https or the address.
        """
        proxy = self._proxy_of("https", destination)
        return open_tunnel(proxy, destination) if proxy else self._connect(destination)

    def connect_plain(self, destination: HostPort) -> Route:
        """Open a connection for one plain HTTP request. Raises the same errors as `connect`."""
        proxy = self._proxy_of("http", destination)
        if proxy is None:
            return Route(self._connect(destination))
        connection, login = connect_to_proxy(proxy)
        return Route(connection, f"http://{authority_of(destination)}", (login,) if login else ())

    def _proxy_of(self, kind: str, destination: HostPort) -> str | None:
        """Return the platform's proxy for a destination that the policy allows."""
        proxy = self._proxies.proxy_of(kind, destination)
        if destination in self._trusted_hosts:
            return proxy
        host = destination.host
        if self._checks_schemes:
            with self._denial(
                f"{host} is reached by {kind}, which build.sources.schemes lacks: use another URL"
            ):
                self._policy.check_scheme(kind)
        if proxy:
            with self._denied_address(host):
                self._policy.check_literal(host)
        return proxy

    def _connect(self, destination: HostPort) -> socket.socket:
        if destination in self._trusted_hosts:
            return socket.create_connection(destination, CONNECT_SECONDS)
        with self._denied_address(destination.host), self._policy.connecting():
            return socket.create_connection(destination, CONNECT_SECONDS)

    def _denied_address(self, host: str) -> AbstractContextManager[None]:
        return self._denial(f"{host} leads to an address in build.sources.deniedNetworks: use another host")

    @contextmanager
    def _denial(self, message: str) -> Iterator[None]:
        try:
            yield
        except SourceDeniedError:
            self._denials.add(message)
            raise


class ProxyConnection(StreamRequestHandler):
    """A connection of a client: one CONNECT tunnel, or one plain HTTP request and its response."""

    timeout = IDLE_SECONDS

    def handle(self) -> None:
        """Serve the connection until one of both ends closes it."""
        with contextlib.suppress(OSError):
            self._serve()

    def _serve(self) -> None:
        request_line, *headers = read_head(self.rfile)
        method, _, rest = request_line.decode("latin-1").partition(" ")
        target = rest.partition(" ")[0]
        is_tunnel = method == "CONNECT"
        destination = host_port_of(f"https://{target}" if is_tunnel else target)
        if destination is None:
            self.respond("400 Bad Request")
        elif is_tunnel:
            self.serve_tunnel(destination)
        else:
            self.serve_request(destination, method, target, headers)

    def serve_tunnel(self, destination: HostPort) -> None:
        """Serve a CONNECT request."""
        if remote := self.connect(destination):
            with remote:
                self.tunnel(remote)

    def serve_request(self, destination: HostPort, method: str, target: str, headers: list[bytes]) -> None:
        """Serve a plain HTTP request. `target` is its absolute URL."""
        self.send(destination, method, origin_form(target), headers)

    def send(self, destination: HostPort, method: str, target: str, headers: list[bytes]) -> None:
        """Send a plain HTTP request, whose target is in origin form, and copy its response."""
        route = self._opened(lambda: self._proxy.connect_plain(destination))
        if route is None:
            return
        remote = self._prepared(route.connection)
        with remote:
            self.forward(remote, method, route.origin + target, [*headers, *route.headers])

    def connect(self, destination: HostPort) -> socket.socket | None:
        """Open a connection for TLS, or respond with an error and return None."""
        remote = self._opened(lambda: self._proxy.connect(destination))
        return self._prepared(remote) if remote else None

    @property
    def _proxy(self) -> EgressProxy:
        return cast("EgressProxy", self.server)

    def _opened(self, open_: Callable[[], T]) -> T | None:
        try:
            return open_()
        except SourceDeniedError:
            self.respond("403 Forbidden")
        except (OSError, UnicodeError):  # UnicodeError: a host that is no name, for example a label too long
            self.respond("502 Bad Gateway")
        return None

    def _prepared(self, remote: socket.socket) -> socket.socket:
        remote.settimeout(IDLE_SECONDS)
        self.connection.settimeout(None)  # a client that waits for a slow response sends nothing
        return remote

    def tunnel(self, remote: socket.socket) -> None:
        """Confirm a tunnel, and copy bytes in both directions until one end closes it."""
        self.respond("200 Connection Established")
        threading.Thread(target=_copy_stream, args=(self.connection, remote), daemon=True).start()
        _copy_stream(remote, self.connection)

    def forward(self, remote: socket.socket, method: str, target: str, headers: list[bytes]) -> None:
        """Send a request on a connection, and copy its response."""
        line = f"{method} {target} HTTP/1.1\r\n".encode("latin-1")
        remote.sendall(single_message_head(line, headers))
        left = _body_bytes(headers)
        while left and (chunk := self.rfile.read1(min(left, _CHUNK_BYTES))):
            remote.sendall(chunk)
            left -= len(chunk)
        with remote.makefile("rb") as response:
            status_line, *response_headers = read_head(response)
            self.wfile.write(single_message_head(status_line, response_headers))
            while chunk := response.read1(_CHUNK_BYTES):
                self.wfile.write(chunk)

    def respond(self, status: str) -> None:
        """Send the head of a response without a body."""
        length = "" if status.startswith("200") else "Content-Length: 0\r\n"
        self.wfile.write(f"HTTP/1.1 {status}\r\n{length}\r\n".encode())


def origin_form(target: str) -> str:
    """Return the target of a request in the origin form of RFC 9112, section 3.2.1."""
    parts = urlsplit(target)
    return urlunsplit(("", "", parts.path or "/", parts.query, ""))


def single_message_head(first_line: bytes, headers: list[bytes]) -> bytes:
    """Return the head of a message after which the connection closes."""
    forwarded = [line for line in headers if not line.lower().startswith(_HOP_BY_HOP)]
    return b"".join((first_line, *forwarded, b"Connection: close\r\n\r\n"))


def _body_bytes(headers: list[bytes]) -> int:
    """Return the length of the body of a request, such as those of git. Its clients send no chunks."""
    lengths = [
        line.partition(b":")[2].strip() for line in headers if line.lower().startswith(b"content-length:")
    ]
    return int(lengths[0]) if lengths and lengths[0].isdigit() else 0


def _copy_stream(source: socket.socket, target: socket.socket) -> None:
    """Copy bytes until `source` ends, then end the stream of `target`."""
    with contextlib.suppress(OSError):
        while chunk := source.recv(_CHUNK_BYTES):
            target.sendall(chunk)
    with contextlib.suppress(OSError):
        target.shutdown(socket.SHUT_WR)
