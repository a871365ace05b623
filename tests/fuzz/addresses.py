"""URLs that spell denied addresses: no connection may be opened to one.

A listener has the same port on all addresses of the machine. A second audit hook sees the connections that
the policy lets pass. It blocks them unless the listener can have them, so no packet leaves the machine.
"""

from __future__ import annotations

import contextlib
import ipaddress
import itertools
import json
import random
import socket
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Final

import httpx
from tests.fuzz.spellings import CHANGING_NAME, spelling
from tests.fuzz.tally import Tally

from modelyard.builder.sources.context import FetchContext
from modelyard.builder.sources.egress_policy import EgressPolicy
from modelyard.builder.sources.egress_proxy import EgressProxy
from modelyard.builder.sources.fetch import fetch
from modelyard.builder.sources.platform_proxy import host_port_of
from modelyard.coded_error import CodedError
from modelyard.contract.build_request import Source
from modelyard.retry import Retry
from modelyard.settings import DENIED_NETWORKS

_REDIRECTOR: Final = "127.254.97.61"
"""The one address of this machine that downloads may reach. Its server redirects to the URLs of the run."""
POLICY: Final = EgressPolicy(
    denied=tuple(map(ipaddress.ip_network, DENIED_NETWORKS)), allowed=(ipaddress.ip_network(_REDIRECTOR),)
)
_LOCAL: Final = ipaddress.ip_network("fd00::/8")
_EMBEDDING: Final = (ipaddress.ip_network("::ffff:0:0/96"), ipaddress.ip_network("64:ff9b::/96"))
"""IPv6 addresses that reach the IPv4 address in their last four bytes."""
_GOOGLE_KEY: Final = {"client_email": "", "private_key": "", "private_key_id": "", "disable_oauth": True}
_HTTP_EVERY: Final = 40
_PROXY_EVERY: Final = 40
_REGISTRY_EVERY: Final = 100
_REDIRECT_EVERY: Final = 100
_STORE_EVERY: Final = 2000
_REFUSED: Final = (CodedError, OSError, UnicodeError)


class Listener:
    """A server that records connections. It listens on one port of all IPv4 and IPv6 addresses."""

    def __init__(self) -> None:
        self._sockets = [socket.create_server(("", 0))]
        self.port: int = self._sockets[0].getsockname()[1]
        with contextlib.suppress(OSError):  # a machine without IPv6
            self._sockets.append(socket.create_server(("::", self.port), family=socket.AF_INET6))
        self.accepted: list[object] = []
        for server in self._sockets:
            threading.Thread(target=self._serve, args=(server,), daemon=True).start()

    def _serve(self, server: socket.socket) -> None:
        while True:
            connection, peer = server.accept()
            self.accepted.append(peer)
            connection.close()


class _Redirector(ThreadingHTTPServer):
    """Answers each request with a redirect to the URL of the moment."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__((_REDIRECTOR, 0), _Redirect)
        self.to = ""
        self.requests = 0
        threading.Thread(target=self.serve_forever, daemon=True).start()

    @property
    def url(self) -> str:
        """Return the URL that redirects."""
        return f"http://{_REDIRECTOR}:{self.server_address[1]}/model"


class _Redirect(BaseHTTPRequestHandler):
    server: _Redirector

    def do_GET(self) -> None:
        self.server.requests += 1
        location = self.server.to.replace("\r", "").replace("\n", "").encode()
        self.wfile.write(b"HTTP/1.1 307 Moved\r\nContent-Length: 0\r\nLocation: " + location + b"\r\n\r\n")

    do_HEAD = do_GET

    def log_message(self, *_: object) -> None:
        pass


class _Exits:
    """The connections that passed the policy, except those of the fuzz run to its own proxy."""

    def __init__(self, listener: Listener) -> None:
        self.passed: list[str] = []
        self.own_ports: set[int] = set()
        self._listener = listener
        sys.addaudithook(self._check)

    def _check(self, event: str, arguments: tuple[Any, ...]) -> None:
        if event != "socket.connect" or not isinstance(arguments[1], tuple):
            return
        host, port = arguments[1][:2]
        if port in self.own_ports:
            return
        self.passed.append(str(host))
        if port != self._listener.port or not _is_of_machine(host):
            arguments[0].close()
            raise ConnectionRefusedError(host)


_GETADDRINFO: Final = socket.getaddrinfo
_CHANGING: Final = itertools.cycle(("203.0.113.5", "127.0.0.1", "203.0.113.5", "169.254.169.254"))
"""The addresses of CHANGING_NAME, one after the other: a public one, and one that is denied."""


def _resolve_offline(
    host: str | bytes | None,
    port: Any,
    family: int = 0,
    kind: int = 0,
    proto: int = 0,
    flags: int = 0,
    **named: Any,
) -> list[Any]:
    """Resolve numbers as the system does, localhost, and CHANGING_NAME. There are no other names."""
    text = host.decode() if isinstance(host, bytes) else host
    if text and text.rstrip(".").lower() == "localhost":
        text = "127.0.0.1"
    elif text == CHANGING_NAME:
        text = next(_CHANGING)
    flags |= socket.AI_NUMERICHOST
    return _GETADDRINFO(text, port, family, named.get("type", kind), proto, flags)  # type: ignore[return-value]


def run(tally: Tally, inputs: int, seed: int) -> None:
    """Try URLs with the policy itself. Some of them also run through downloads and the egress proxy."""
    chance = random.Random(seed)
    with POLICY.connecting():
        pass  # installs the hook of the policy before the one that sees what passes
    listener = Listener()
    redirector = _Redirector()
    exits = _Exits(listener)
    exits.own_ports.add(redirector.server_address[1])
    socket.getaddrinfo = _resolve_offline  # type: ignore[assignment]
    with tempfile.TemporaryDirectory() as folder, _proxy(exits, tally) as proxy:
        for number in range(inputs):
            url = spelling(chance, listener.port)
            tally.inputs += 1
            started = time.process_time()
            _try(tally, url, _connect, url)
            for action in _actions(number, url, Path(folder), proxy, redirector):
                _try(tally, url, action)
            tally.check_time(url, started)
            for address in filter(_is_escape, exits.passed):
                tally.escape(url, f"connects to {address}")
            exits.passed.clear()
    if inputs >= _REDIRECT_EVERY and not redirector.requests:
        tally.crash(redirector.url, AssertionError("no download reached the server that redirects"))
    for peer in listener.accepted:
        tally.escape(peer, "the listener was reached")


def _actions(
    number: int, url: str, folder: Path, proxy: EgressProxy, redirector: _Redirector
) -> Iterator[Callable[[], None]]:
    """Yield the ways in which a build may reach a URL, for some of the inputs."""
    redirector.to = url
    if number % _HTTP_EVERY == 0:
        yield partial(_download, url, folder)
    if number % _PROXY_EVERY == 1:
        yield partial(_ask_proxy, url, proxy)
    if number % _REGISTRY_EVERY == 2:
        yield partial(_download, f"oci://{_authority(url)}/a/b:c", folder)
    if number % _REDIRECT_EVERY == 3:
        yield partial(_download, redirector.url, folder)
    if number % _STORE_EVERY == 4:
        yield partial(_read_store, url, folder)
        yield partial(_read_store, redirector.url, folder)
        yield partial(_read_region, _authority(url), folder)


def _is_of_machine(address: str) -> bool:
    ip = ipaddress.ip_address(address.partition("%")[0])
    ip = getattr(ip, "ipv4_mapped", None) or ip
    return ip.is_loopback or ip.is_unspecified


def _is_escape(address: str) -> bool:
    """Return whether a connection had to be denied. All IPv6 addresses of this run are or hold denied ones.

    A character within a denied address can make it another IPv4 address, also one in an IPv6 address, or
    another local IPv6 address.
    """
    if address == _REDIRECTOR:  # a location may be a path
        return False
    ip = ipaddress.ip_address(address.partition("%")[0])
    if any(ip in network for network in _EMBEDDING):
        ip = ipaddress.IPv4Address(ip.packed[-4:])
    may_be_other = ip.version == 4 or ip in _LOCAL
    return not may_be_other or ip.packed[0] == 0 or any(ip in network for network in POLICY.denied)


def _try(tally: Tally, url: str, call: Callable[..., None], *arguments: Any) -> None:
    try:
        call(*arguments)
    except CodedError:
        pass
    except BaseException as error:
        tally.crash(url, error)


def _connect(url: str) -> None:
    """Connect as the egress proxy does, with the host as Python's and as httpx's parser reads it."""
    destinations = {host_port_of(url)}
    with contextlib.suppress(httpx.InvalidURL, ValueError):
        parsed = httpx.URL(url)
        destinations.add((parsed.host, parsed.port or 80))  # type: ignore[arg-type]
    for destination in destinations:
        if destination and destination[0]:
            with contextlib.suppress(*_REFUSED), POLICY.connecting():
                socket.create_connection(destination, 1).close()


def _download(
    url: str, folder: Path, credentials: dict[str, str] | None = None, named: str | None = None
) -> None:
    source = Source(url=named or url, credentials=credentials or {})
    context = FetchContext(policy=POLICY, retry=Retry(attempts=1))
    fetch(source, folder, name="file", limit_bytes=1000, context=context)


def _authority(url: str) -> str:
    return url.partition("://")[2].partition("/")[0]


def _read_region(region: str, folder: Path) -> None:
    keys = {"AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b", "AWS_REGION": f"x@{region}/"}
    _download("s3://bucket/key", folder, keys)


def _read_store(url: str, folder: Path) -> None:
    google = json.dumps(_GOOGLE_KEY | {"gcs_base_url": url})
    stores = {
        "s3://bucket/key": {"AWS_ENDPOINT_URL": url},
        "abfs://container@account.dfs.core.windows.net/key": {"AZURE_ENDPOINT": url},
        "gs://bucket/key": {"GOOGLE_SERVICE_ACCOUNT_KEY": google},
    }
    for named, credentials in stores.items():
        with contextlib.suppress(CodedError):
            _download(url, folder, credentials, named)


@contextmanager
def _proxy(exits: _Exits, tally: Tally) -> Iterator[EgressProxy]:
    class Proxy(EgressProxy):
        def handle_error(self, request: Any, client_address: Any) -> None:
            tally.crash("a request to the proxy", sys.exception() or AssertionError())

    with Proxy(POLICY) as proxy:
        exits.own_ports.add(proxy.server_address[1])
        yield proxy


def _ask_proxy(url: str, proxy: EgressProxy) -> None:
    """Send the URL as a plain request and as a tunnel, and wait for the answers."""
    for line in (f"GET {url} HTTP/1.1", f"CONNECT {_authority(url)} HTTP/1.1"):
        with (
            contextlib.suppress(
                ConnectionError
            ),  # the proxy does not read a line to its end that is no request
            socket.create_connection(("127.0.0.1", proxy.server_address[1]), 10) as connection,
        ):
            connection.sendall(f"{line}\r\n\r\n".encode())
            connection.shutdown(socket.SHUT_WR)
            while connection.recv(4096):
                pass
