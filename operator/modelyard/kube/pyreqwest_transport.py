"""HTTP to one API server with pyreqwest, which takes a third of aiohttp's CPU time for a request.

Most of the CPU time of a reconcile is spent on requests.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Final
from urllib.parse import urlencode

from pyreqwest.client import ClientBuilder
from pyreqwest.exceptions import DetailedPyreqwestError, PyreqwestError
from pyreqwest.proxy import ProxyBuilder
from pyreqwest.request import RequestBuilder
from pyreqwest.response import Response as HttpResponse
from pyreqwest.response import ResponseBodyReader

from modelyard.kube.config import ServerConfig
from modelyard.kube.transport import Request, Response, ResponseTooLargeError, TransportError

_CERTIFICATE: Final = re.compile(rb"-----BEGIN CERTIFICATE-----.+?-----END CERTIFICATE-----", re.DOTALL)


@dataclass(frozen=True)
class Timeouts:
    """Time limits of requests, in seconds."""

    connect_seconds: float = 5.0
    total_seconds: float = 30.0  # of a request with a complete response
    idle_seconds: float = 90.0  # between two reads of a stream: an idle watch has a bookmark each minute


class PyreqwestTransport:
    """A pool of connections to one API server.

    `user_agent` is also the field manager of writes:
    https://kubernetes.io/docs/reference/using-api/server-side-apply/#managers
    `max_requests` limits the requests in flight; a further request waits, within its total timeout.
    """

    def __init__(
        self,
        server: ServerConfig,
        *,
        user_agent: str,
        timeouts: Timeouts | None = None,
        max_requests: int | None = None,
    ):
        self._server = server
        self._timeouts = timeouts or Timeouts()
        builder = _client_builder(server, self._timeouts).user_agent(user_agent)
        self._client = builder.max_connections(max_requests).build()

    async def close(self) -> None:
        """Close the connections."""
        await self._client.close()

    async def send(self, request: Request) -> Response:
        """Return the complete response.

        Raises TransportError if there is none in time, and ResponseTooLargeError beyond `max_bytes`.
        """
        builder = await self._request_builder(request)
        builder = builder.timeout(timedelta(seconds=self._timeouts.total_seconds))
        try:
            if request.max_bytes is None:
                return await _read_response(await builder.build().send())
            async with builder.build_streamed() as response:
                return await _read_bounded(response, request.max_bytes)
        except PyreqwestError as error:
            raise TransportError(_describe(error)) from error

    @contextlib.asynccontextmanager
    async def stream(self, request: Request) -> AsyncIterator[Response | AsyncIterator[bytes]]:
        """Yield an iterator of the response's lines, or the complete response if it is an error.

        Raises TransportError if the connection breaks or is idle for too long; so does the iterator.
        """
        # The default limit holds the first bytes back until 64 KiB have come.
        built = (await self._request_builder(request)).streamed_read_buffer_limit(0).build_streamed()
        try:
            async with built as response:
                succeeded = response.status < 300
                yield _lines(response.body_reader) if succeeded else await _read_response(response)
        except PyreqwestError as error:
            raise TransportError(_describe(error)) from error

    async def _request_builder(self, request: Request) -> RequestBuilder:
        headers = {"Accept": request.accept, "Content-Type": request.content_type}
        if request.token is not None:
            headers["Authorization"] = f"Bearer {request.token}"
        elif authorization := await self._server.authorization():
            headers["Authorization"] = authorization
        query = f"?{urlencode(request.query)}" if request.query else ""
        builder = self._client.request(request.method, self._server.url + request.path + query)
        builder = builder.headers(headers)
        return builder if request.body is None else builder.body_bytes(request.encode(request.body))


async def _read_response(response: HttpResponse) -> Response:
    return Response(response.status, _retry_after(response), bytes(await response.bytes()))


def _retry_after(response: HttpResponse) -> float | None:
    seconds = response.get_header("retry-after") or ""
    return float(seconds) if seconds.isdigit() else None


async def _read_bounded(response: HttpResponse, max_bytes: int) -> Response:
    body = bytearray()
    while (chunk := await response.body_reader.read_chunk()) is not None:
        body += bytes(chunk)
        if len(body) > max_bytes:
            raise ResponseTooLargeError
    return Response(response.status, _retry_after(response), bytes(body))


async def _lines(reader: ResponseBodyReader) -> AsyncIterator[bytes]:
    rest = b""
    while (chunk := await reader.read_chunk()) is not None:
        *lines, rest = (rest + bytes(chunk)).split(b"\n")
        for line in lines:
            yield line
    if rest:
        raise TransportError("the response ended in the middle of a line")


def _describe(error: PyreqwestError) -> str:
    """Return the message of an error and of its innermost cause."""
    causes = error.details.get("causes") if isinstance(error, DetailedPyreqwestError) else None
    return f"{error.message}: {causes[-1]['message']}" if causes else error.message


def _client_builder(server: ServerConfig, timeouts: Timeouts) -> ClientBuilder:
    builder = (
        ClientBuilder()
        .connect_timeout(timedelta(seconds=timeouts.connect_seconds))
        .pool_timeout(timedelta(seconds=timeouts.total_seconds))
        .read_timeout(timedelta(seconds=timeouts.idle_seconds))
        .follow_redirects(False)
        .no_proxy()  # ServerConfig has the proxy
        .brotli(False)
        .deflate(False)
        .zstd(False)  # gzip stays: API servers have no other encoding
    )
    if server.proxy_url:
        builder = builder.proxy(ProxyBuilder.all(server.proxy_url))
    if not server.verify_tls:
        builder = builder.danger_accept_invalid_certs(True)
    elif server.ca_path:
        for certificate in _CERTIFICATE.findall(Path(server.ca_path).read_bytes()):
            builder = builder.add_root_certificate_pem(certificate)
    if server.client_certificate_path:
        files = server.client_certificate_path, server.client_key_path or server.client_certificate_path
        builder = builder.identity_pem(b"\n".join(Path(file).read_bytes() for file in files))
    return builder
