"""An httpx transport on connections of urllib3.

httpcore, the default, copies each byte of a large body several times. The copies cost a quarter of the CPU
time of a large upload. Authentication, redirects and URLs remain httpx's.
"""

from __future__ import annotations

import ssl
import threading
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final, NamedTuple, cast
from urllib.parse import unquote
from urllib.request import getproxies, proxy_bypass

import httpx
import urllib3
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool

_CHUNK_BYTES: Final = 1024 * 1024
_IDLE_PER_HOST: Final = 10
"""Idle connections that a pool retains for each host."""
_SEND_SECONDS: Final = 30.0
"""Timeout to send one chunk. urllib3 would apply the much shorter connect timeout to sending too."""
_TARGET: Final = ":target"
"""Takes the extension `target` through urllib3, which copies only headers. No real header has this name."""


class _Manager(NamedTuple):
    """The connection pools of one scheme and proxy, and the TLS context of their connections."""

    tls: ssl.SSLContext | None
    pools: urllib3.PoolManager


class Urllib3Transport(httpx.BaseTransport):
    """A thread-safe transport. It follows HTTP_PROXY, HTTPS_PROXY and NO_PROXY in upper or lower case."""

    def __init__(self, tls: Callable[[], ssl.SSLContext]) -> None:
        """`tls` is called for each request with TLS. Another context than before closes the idle connections.

        So `tls` can follow a rotated CA bundle. It must be fast: to load the CA certificates takes as long as
        ten requests.
        """
        self._tls = tls
        self._proxies = getproxies()
        self._managers: dict[tuple[str, str | None], _Manager] = {}
        self._managers_lock = threading.Lock()

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Send the request and return the response with its body unread.

        The extension `target` is the path and query of the request line
        (https://www.python-httpx.org/advanced/extensions/#target). Without it, urllib3 normalizes those of
        the URL.

        Raises httpx.TransportError, and the errors of the iterator that produces the request's body.
        """
        timeout = request.extensions["timeout"]
        headers = urllib3.HTTPHeaderDict(request.headers.multi_items())
        if target := request.extensions.get("target"):
            headers[_TARGET] = target.decode("ascii")
        try:
            response = self._manager(request.url).urlopen(
                request.method,
                str(request.url),
                body=_body(request),
                headers=headers,
                timeout=urllib3.Timeout(connect=timeout["connect"], read=timeout["read"]),
                retries=False,
                redirect=False,
                preload_content=False,
            )
        except urllib3.exceptions.HTTPError as error:
            raise _transport_error(error) from None
        answer = httpx.Response(
            response.status,
            headers=[
                (name.encode("latin-1"), value.encode("latin-1")) for name, value in response.headers.items()
            ],
            stream=_ResponseStream(response),
            extensions={"reason_phrase": (response.reason or "").encode("latin-1")},
        )
        if answer.has_redirect_location and not _is_url(request.url, answer.headers["location"]):
            answer.close()
            raise httpx.RemoteProtocolError("the server redirects to an invalid url")
        return answer

    def close(self) -> None:
        """Close all connections."""
        for manager in self._managers.values():
            _close_idle(manager.pools)

    def _manager(self, url: httpx.URL) -> urllib3.PoolManager:
        proxy = self._proxy(url)
        needs_tls = "https" in {url.scheme, httpx.URL(proxy or "").scheme}
        tls = self._tls() if needs_tls else None
        with self._managers_lock:
            manager = self._managers.get((url.scheme, proxy))
            if manager is None or manager.tls is not tls:
                if manager is not None:
                    _close_idle(manager.pools)
                manager = self._managers[url.scheme, proxy] = _Manager(tls, _new_manager(proxy, tls))
        return manager.pools

    def _proxy(self, url: httpx.URL) -> str | None:
        """Return the URL of the proxy for a request, None for a direct connection."""
        proxy = self._proxies.get(url.scheme) or self._proxies.get("all")
        if not proxy or proxy_bypass(url.netloc.decode()):
            return None
        return proxy if "://" in proxy else f"http://{proxy}"


def _close_idle(pools: urllib3.PoolManager) -> None:
    """Close all idle connections, and each other one after its response.

    PoolManager.clear() only forgets its pools: connections stay open until the garbage collector finds them.
    """
    for key in pools.pools.keys():  # noqa: SIM118 - the container has no iterator
        pool = pools.pools.get(key)
        if pool is not None:
            pool.close()
    pools.clear()


def _is_url(base: httpx.URL, location: str) -> bool:
    """Return whether httpx can follow a location. If not, it may raise InvalidURL, which is no HTTPError."""
    try:
        url = httpx.URL(location)
        if url.scheme and not url.host:
            url = url.copy_with(host=base.host)
        base.join(url)
    except httpx.InvalidURL:
        return False
    return True


class _Connection(HTTPConnection):
    def request(self, method: str, url: str, body: Any = None, headers: Any = None, **options: Any) -> None:
        url, headers = _with_target(url, headers)
        super().request(method, url, body, headers, **options)

    def connect(self) -> None:
        super().connect()
        self.sock.settimeout(_SEND_SECONDS)


class _TlsConnection(HTTPSConnection):
    def request(self, method: str, url: str, body: Any = None, headers: Any = None, **options: Any) -> None:
        url, headers = _with_target(url, headers)
        super().request(method, url, body, headers, **options)

    def connect(self) -> None:
        super().connect()
        self.sock.settimeout(_SEND_SECONDS)


class _TlsSocket(ssl.SSLSocket):
    """A socket that closes itself on a reset.

    The ssl module of Python 3.11.7 leaves it open if the server resets the connection before the handshake.
    SSLSocket._create reads from it then, and has no `close` for that error.
    """

    def recv(self, buflen: int = 1024, flags: int = 0) -> bytes:
        try:
            return super().recv(buflen, flags)
        except ConnectionError:
            self.close()
            raise


def _with_target(url: str, headers: Mapping[str, str] | None) -> tuple[str, Mapping[str, str] | None]:
    """Return the URL or path with the path and query of the header _TARGET, and the headers without it."""
    if headers is None or _TARGET not in headers:
        return url, headers
    others = urllib3.HTTPHeaderDict(headers)
    target = others.pop(_TARGET)
    if not url.startswith("/"):  # a proxy needs the whole URL
        parts = urllib3.util.parse_url(url)
        target = f"{parts.scheme}://{parts.netloc}{target}"
    return target, others


class _Pool(HTTPConnectionPool):
    ConnectionCls = _Connection


class _TlsPool(HTTPSConnectionPool):
    ConnectionCls = _TlsConnection


def _new_manager(proxy: str | None, tls: ssl.SSLContext | None) -> urllib3.PoolManager:
    if tls is not None:
        tls.sslsocket_class = _TlsSocket
    if proxy is None:
        manager = urllib3.PoolManager(maxsize=_IDLE_PER_HOST, ssl_context=tls)
    else:
        user = httpx.URL(proxy).userinfo.decode()
        headers = urllib3.make_headers(proxy_basic_auth=unquote(user)) if user else None
        manager = urllib3.ProxyManager(
            proxy, proxy_headers=headers, proxy_ssl_context=tls, maxsize=_IDLE_PER_HOST, ssl_context=tls
        )
    manager.pool_classes_by_scheme = {"http": _Pool, "https": _TlsPool}
    return manager


def _body(request: httpx.Request) -> bytes | Iterator[bytes] | None:
    if isinstance(request.stream, httpx.ByteStream):
        return b"".join(request.stream) or None
    chunks = iter(cast("httpx.SyncByteStream", request.stream))
    length = request.headers.get("content-length")
    return chunks if length is None else _with_checked_length(chunks, int(length))


def _with_checked_length(chunks: Iterator[bytes], length: int) -> Iterator[bytes]:
    """Yield the chunks, and raise LocalProtocolError unless they have `length` bytes.

    A server would wait for missing bytes, and would read surplus bytes as another request.
    """
    for chunk in chunks:
        length -= len(chunk)
        if length < 0:
            break
        yield chunk
    if length:
        raise httpx.LocalProtocolError("the content has another length than its Content-Length header")


class _ResponseStream(httpx.SyncByteStream):
    """The body of a response. The pool can use the connection again once the body is read to its end."""

    def __init__(self, response: urllib3.BaseHTTPResponse) -> None:
        self._response = response

    def __iter__(self) -> Iterator[bytes]:
        try:
            while chunk := self._response.read1(_CHUNK_BYTES, decode_content=False):
                yield chunk
        except urllib3.exceptions.HTTPError as error:
            raise _transport_error(error) from None

    def close(self) -> None:
        self._response.close()


def _transport_error(error: urllib3.exceptions.HTTPError) -> httpx.TransportError:
    """Return the httpx error for a urllib3 error, with the message of the operating system if any."""
    return httpx.TransportError(str(error.__cause__ or error))
