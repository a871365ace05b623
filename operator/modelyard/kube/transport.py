"""HTTP to one API server: kubernetes.aio says where it is and who we are, pyreqwest has the connections.

kubernetes.aio's own aiohttp takes three times the CPU time a request, most of what a reconcile costs.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any, Final, NamedTuple
from urllib.parse import urlencode

import orjson
from kubernetes.aio.client import Configuration
from pyreqwest.client import ClientBuilder
from pyreqwest.exceptions import PyreqwestError
from pyreqwest.proxy import ProxyBuilder
from pyreqwest.request import RequestBuilder
from pyreqwest.response import Response, ResponseBodyReader

JSON: Final = "application/json"

_USER_AGENT: Final = "modelyard"  # the field manager, too: https://kubernetes.io/docs/reference/using-api/server-side-apply/#managers
_CONNECT: Final = timedelta(seconds=5)
_TOTAL: Final = timedelta(seconds=30)
# An idle watch brings a bookmark every minute: after this the connection is dead.
_SILENCE: Final = timedelta(seconds=90)
_CERTIFICATE: Final = re.compile(rb"-----BEGIN CERTIFICATE-----.+?-----END CERTIFICATE-----", re.DOTALL)


class TransportError(Exception):
    """No answer, or not the whole of one."""


class Request(NamedTuple):
    """What is asked of the API server."""

    method: str
    path: str
    query: Mapping[str, str] = {}
    body: Mapping[str, Any] | None = None
    content_type: str = JSON
    accept: str = JSON


@dataclass(frozen=True)
class Answer:
    """What it says; `retry_after` in seconds."""

    status: int
    retry_after: float | None
    body: bytes


class Transport:
    """One connection pool."""

    def __init__(self, configuration: Configuration):
        self._configuration = configuration
        self._client = _builder(configuration).build()

    async def close(self) -> None:
        """Close the connections."""
        await self._client.close()

    async def send(self, request: Request) -> Answer:
        """The whole answer; Broken when there is none within 30 s."""
        built = (await self._asked(request)).timeout(_TOTAL).build()
        try:
            return await _whole(await built.send())
        except PyreqwestError as error:
            raise TransportError(repr(error)) from error

    @contextlib.asynccontextmanager
    async def stream(self, request: Request) -> AsyncIterator[Answer | AsyncIterator[bytes]]:
        """The lines of an answer as they come, or the whole of one that is no success.

        Broken when the connection breaks, or falls silent for 90 s; so does reading the lines.
        """
        # By default 64 KiB are waited for before the first byte is told.
        built = (await self._asked(request)).streamed_read_buffer_limit(0).build_streamed()
        try:
            async with built as response:
                succeeded = response.status < 400
                yield _lines(response.body_reader) if succeeded else await _whole(response)
        except PyreqwestError as error:
            raise TransportError(repr(error)) from error

    async def _asked(self, request: Request) -> RequestBuilder:
        configuration = self._configuration
        headers = {"Accept": request.accept, "Content-Type": request.content_type}
        if token := await configuration.get_api_key_with_prefix("BearerToken", alias="authorization"):
            headers["Authorization"] = token
        query = f"?{urlencode(request.query)}" if request.query else ""
        builder = self._client.request(request.method, configuration.host + request.path + query)
        builder = builder.headers(headers)
        return builder if request.body is None else builder.body_bytes(orjson.dumps(request.body))


async def _whole(response: Response) -> Answer:
    seconds = response.get_header("retry-after") or ""
    retry_after = float(seconds) if seconds.isdigit() else None
    return Answer(response.status, retry_after, bytes(await response.bytes()))


async def _lines(reader: ResponseBodyReader) -> AsyncIterator[bytes]:
    rest = b""
    while (chunk := await reader.read_chunk()) is not None:
        *lines, rest = (rest + bytes(chunk)).split(b"\n")
        for line in lines:
            yield line
    if rest:
        raise TransportError("it ended in the midst of a line")


def _builder(configuration: Configuration) -> ClientBuilder:
    builder = (
        ClientBuilder()
        .user_agent(_USER_AGENT)
        .connect_timeout(_CONNECT)
        .read_timeout(_SILENCE)
        .follow_redirects(False)
        .no_proxy()  # the configuration knows it
        .brotli(False)
        .deflate(False)
        .zstd(False)  # leaves gzip, the one that API servers have
    )
    if configuration.proxy:
        builder = builder.proxy(ProxyBuilder.all(configuration.proxy))
    if not configuration.verify_ssl:
        builder = builder.danger_accept_invalid_certs(True)
    elif configuration.ssl_ca_cert:
        for certificate in _CERTIFICATE.findall(Path(configuration.ssl_ca_cert).read_bytes()):
            builder = builder.add_root_certificate_pem(certificate)
    if configuration.cert_file:
        identity = (configuration.cert_file, configuration.key_file or configuration.cert_file)
        builder = builder.identity_pem(b"\n".join(Path(path).read_bytes() for path in identity))
    return builder
