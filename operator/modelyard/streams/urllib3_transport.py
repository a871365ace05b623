"""What httpx asks for goes over urllib3's connections: its own copy each byte of a large body several times.

Logins, redirects and addresses stay httpx' own.
"""

from __future__ import annotations

import ssl
import threading
from collections.abc import Callable, Iterator
from typing import Final, cast
from urllib.parse import unquote
from urllib.request import getproxies, proxy_bypass

import httpx
import urllib3
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool

_CHUNK_BYTES: Final = 1024 * 1024
_PER_HOST: Final = 10  # that are kept open
_SEND_SECONDS: Final = 30.0  # for a chunk; urllib3 would give it as long as a new connection takes at most


class Urllib3Transport(httpx.BaseTransport):
    """Safe for threads. HTTP_PROXY, HTTPS_PROXY and NO_PROXY of the process count, in either case."""

    def __init__(self, tls: Callable[[], ssl.SSLContext]) -> None:
        """`tls` is not called before TLS is spoken: to read the authorities takes as long as ten requests."""
        self._tls = tls
        self._proxies = getproxies()
        self._managers: dict[tuple[str, str | None], urllib3.PoolManager] = {}
        self._making = threading.Lock()

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """The answer, its body still unread. Raises httpx.TransportError, and what the body sent does."""
        timeout = request.extensions["timeout"]
        try:
            answer = self._manager(request.url).urlopen(
                request.method,
                str(request.url),
                body=_body(request),
                headers=urllib3.HTTPHeaderDict(request.headers.multi_items()),
                timeout=urllib3.Timeout(connect=timeout["connect"], read=timeout["read"]),
                retries=False,
                redirect=False,
                preload_content=False,
            )
        except urllib3.exceptions.HTTPError as error:
            raise _failure(error) from None
        return httpx.Response(
            answer.status,
            headers=list(answer.headers.items()),
            stream=_Answer(answer),
            extensions={"reason_phrase": (answer.reason or "").encode("latin-1")},
        )

    def close(self) -> None:
        for manager in self._managers.values():
            manager.clear()

    def _manager(self, url: httpx.URL) -> urllib3.PoolManager:
        proxy = self._proxy(url)
        with self._making:
            found = self._managers.get((url.scheme, proxy))
            if found is None:
                needs_tls = "https" in {url.scheme, httpx.URL(proxy or "").scheme}
                found = _made(proxy, self._tls() if needs_tls else None)
                self._managers[url.scheme, proxy] = found
        return found

    def _proxy(self, url: httpx.URL) -> str | None:
        """The URL of the proxy that the environment names for this one."""
        found = self._proxies.get(url.scheme) or self._proxies.get("all")
        if not found or proxy_bypass(url.netloc.decode()):
            return None
        return found if "://" in found else f"http://{found}"


class _Connection(HTTPConnection):
    def connect(self) -> None:
        super().connect()
        self.sock.settimeout(_SEND_SECONDS)


class _TlsConnection(HTTPSConnection):
    def connect(self) -> None:
        super().connect()
        self.sock.settimeout(_SEND_SECONDS)


class _Pool(HTTPConnectionPool):
    ConnectionCls = _Connection


class _TlsPool(HTTPSConnectionPool):
    ConnectionCls = _TlsConnection


def _made(proxy: str | None, tls: ssl.SSLContext | None) -> urllib3.PoolManager:
    if proxy is None:
        manager = urllib3.PoolManager(maxsize=_PER_HOST, ssl_context=tls)
    else:
        user = httpx.URL(proxy).userinfo.decode()
        headers = urllib3.make_headers(proxy_basic_auth=unquote(user)) if user else None
        manager = urllib3.ProxyManager(
            proxy, proxy_headers=headers, proxy_ssl_context=tls, maxsize=_PER_HOST, ssl_context=tls
        )
    manager.pool_classes_by_scheme = {"http": _Pool, "https": _TlsPool}
    return manager


def _body(request: httpx.Request) -> bytes | Iterator[bytes] | None:
    if isinstance(request.stream, httpx.ByteStream):
        return b"".join(request.stream) or None
    chunks = iter(cast("httpx.SyncByteStream", request.stream))
    length = request.headers.get("content-length")
    return chunks if length is None else _counted(chunks, int(length))


def _counted(chunks: Iterator[bytes], length: int) -> Iterator[bytes]:
    """The same chunks; an error for any other length, which a server would wait for or take for a request."""
    for chunk in chunks:
        length -= len(chunk)
        if length < 0:
            break
        yield chunk
    if length:
        raise httpx.LocalProtocolError("the content has another length than was announced")


class _Answer(httpx.SyncByteStream):
    """The body; once it was read to its end, the connection serves again."""

    def __init__(self, answer: urllib3.BaseHTTPResponse) -> None:
        self._answer = answer

    def __iter__(self) -> Iterator[bytes]:
        try:
            while chunk := self._answer.read1(_CHUNK_BYTES, decode_content=False):
                yield chunk
        except urllib3.exceptions.HTTPError as error:
            raise _failure(error) from None

    def close(self) -> None:
        self._answer.close()


def _failure(error: urllib3.exceptions.HTTPError) -> httpx.TransportError:
    """With what the system said, not with what urllib3 makes of it."""
    return httpx.TransportError(str(error.__cause__ or error))
