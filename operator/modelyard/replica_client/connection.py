"""A connection to a replica, for one request at a time.

A replica is asked each second, so the cost of a request is the cost of the scaler. A general client takes a
multiple of the CPU time: its pool, its threads and its objects of requests and responses.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from typing import Final, NamedTuple, Self, cast

import httptools

_MAX_HEAD_BYTES: Final = 16 * 1024
# The kernel closes the connection to a node that is gone. No request does if the replica is no longer asked.
_KEEP_ALIVE: Final = (
    (socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1),
    (socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, 30),
    (socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, 10),
    (socket.IPPROTO_TCP, socket.TCP_KEEPCNT, 3),
)


class Response(NamedTuple):
    """A complete response."""

    status: int
    body: bytes


class ResponseError(Exception):
    """The peer sent no valid response, or one that is too large. The message names the cause."""


class ClosedError(Exception):
    """The peer closed the connection before the first byte of its response."""


def get_head(address: str, port: int, path: str) -> bytes:
    """Return the head of a GET request to an IP address."""
    host = f"[{address}]" if ":" in address else address
    return f"GET {path} HTTP/1.1\r\nhost: {host}:{port}\r\n\r\n".encode()


class Connection(asyncio.Protocol):
    """A connection over plain HTTP. `on_close` is called once it is closed by either side."""

    def __init__(self, on_close: Callable[[], None]) -> None:
        self._on_close = on_close
        # Both hold each other until connection_lost: the scaler's garbage collection is rare.
        self._parser: httptools.HttpResponseParser | None = httptools.HttpResponseParser(self)
        self._response: asyncio.Future[Response] | None = None
        self._body = bytearray()
        self._received = 0  # bytes of the present response
        self._max_bytes = 0

    @classmethod
    async def open(cls, address: str, port: int, on_close: Callable[[], None]) -> Self:
        """Connect to an IP address. Raises OSError."""
        _, connection = await asyncio.get_running_loop().create_connection(
            lambda: cls(on_close), address, port
        )
        return connection

    @property
    def is_open(self) -> bool:
        """Return whether another request can be sent."""
        return self._parser is not None and not self._transport.is_closing()

    async def request(self, head: bytes, max_bytes: int) -> Response:
        """Send a request without a body, and return the response with a body of at most `max_bytes`.

        Raises ResponseError, ClosedError and OSError. A request without a response closes the connection.
        """
        self._body.clear()
        self._received, self._max_bytes = 0, max_bytes
        self._response = asyncio.get_running_loop().create_future()
        self._transport.write(head)
        try:
            return await self._response
        except BaseException:
            self._transport.abort()
            raise
        finally:
            self._response = None

    def close(self) -> None:
        """Close the connection."""
        self._transport.abort()

    # --- called by asyncio

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin: let the kernel find out about a peer that is gone."""
        self._transport = cast(asyncio.Transport, transport)
        for option in _KEEP_ALIVE:
            self._transport.get_extra_info("socket").setsockopt(*option)

    def data_received(self, data: bytes) -> None:
        """Read a part of the response. Bytes that nothing asked for close the connection."""
        if self._response is None or self._response.done() or self._parser is None:
            self._transport.abort()
            return
        self._received += len(data)
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade) as error:
            self._fail(ResponseError(f"the response is not HTTP: {error}"))
            self._transport.abort()
        if len(self._body) > self._max_bytes or self._received > self._max_bytes + _MAX_HEAD_BYTES:
            self._fail(ResponseError(f"the response has more than {self._max_bytes} bytes"))

    def connection_lost(self, error: Exception | None) -> None:
        """End the request, if one waits."""
        self._parser = None
        if self._received:
            self._fail(ResponseError("the connection was closed before the end of the response"))
        else:
            self._fail(error or ClosedError("the connection was closed before the response"))
        self._on_close()

    # --- called by httptools

    def on_body(self, body: bytes) -> None:
        """Keep a part of the body, at most one part more than its bound."""
        if len(self._body) <= self._max_bytes:
            self._body += body

    def on_message_complete(self) -> None:
        """Give the response to the request."""
        if self._parser is None or self._response is None or self._response.done():
            return
        if not self._parser.should_keep_alive():
            self._transport.close()
        if len(self._body) <= self._max_bytes:
            self._response.set_result(Response(self._parser.get_status_code(), bytes(self._body)))

    def _fail(self, error: Exception) -> None:
        if self._response is not None and not self._response.done():
            self._response.set_exception(error)
