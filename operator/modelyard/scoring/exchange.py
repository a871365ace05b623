"""One HTTP request and its answer, over ASGI."""

import asyncio
import contextlib
import json
import uuid
from collections.abc import Awaitable, Callable, MutableMapping
from dataclasses import dataclass
from typing import Any

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Headers = tuple[tuple[bytes, bytes], ...]

MAX_ID_CHARACTERS = 100
"""A request id longer than this gets 431 (the Azure ML containers' rule)."""

SMALL_BODY_BYTES = 64 * 1024
"""A refused request's body up to this size is read to its end first, so that the connection can be kept."""

SMALL_BODY_SECONDS = 1.0
"""How long that may take."""

LINGER_SECONDS = 10.0
"""How long a refused client may go on sending before the connection is closed."""

LINGER_BODIES = 4
"""How much it may send meanwhile, in multiples of the largest body: most clients send all, then read."""


RETRY_AFTER = (b"retry-after", b"1")
"""Seconds. Most requests take milliseconds, and a new replica comes within a few seconds."""


@dataclass(frozen=True, slots=True)
class Response:
    """An answer, complete but for the headers which every answer has."""

    status: int
    body: bytes
    content_type: bytes = b"application/json"
    headers: Headers = ()


def text(status: int, body: str) -> Response:
    return Response(status, body.encode(), b"text/plain; charset=utf-8")


def message(status: int, words: str, *headers: tuple[bytes, bytes]) -> Response:
    """An answer in the form of all errors of the contract: {"message": words}."""
    return Response(status, json.dumps({"message": words}).encode(), headers=headers)


class RefusedError(Exception):
    """The request does not get what it asked for; `response` says why."""

    def __init__(self, status: int, words: str, *headers: tuple[bytes, bytes]) -> None:
        super().__init__(words)
        self.response = message(status, words, *headers)


class DisconnectedError(Exception):
    """The client went away: there is nobody to answer."""


class Exchange:
    """A request as it comes in, and the way to answer it once."""

    __slots__ = (
        "_id_headers", "_max_body_bytes", "_pending", "_receive", "_send",
        "headers", "method", "path", "query", "request_id",
    )  # fmt: skip

    def __init__(self, scope: Scope, receive: Receive, send: Send, max_body_bytes: int) -> None:
        self.method: str = scope["method"]
        self.path: str = scope["path"]
        self.query: bytes = scope["query_string"]
        self.headers: dict[bytes, bytes] = dict(scope["headers"])
        self._receive = receive
        self._send = send
        self._max_body_bytes = max_body_bytes
        self._pending = self._declared_length() != 0
        self.request_id, self._id_headers = self._ids()

    def check_ids(self) -> None:
        """Raises RefusedError (431), and keeps the ids out of the answer, when one is too long."""
        if any(len(value) > MAX_ID_CHARACTERS for _, value in self._id_headers):
            self._id_headers = ()
            names = "x-request-id, x-ms-request-id and x-ms-client-request-id"
            raise RefusedError(431, f"{names} must not exceed {MAX_ID_CHARACTERS} characters")

    async def read_body(self) -> bytes:
        """The whole body. Raises RefusedError (413) as soon as it is too large, and DisconnectedError."""
        self._check_size(self._declared_length() or 0)
        if not self._pending:
            return b""
        body = await self._chunk()
        self._check_size(len(body))
        if not self._pending:
            return body
        chunks = bytearray(body)
        while self._pending:
            chunks += await self._chunk()
            self._check_size(len(chunks))
        return bytes(chunks)

    async def respond(self, response: Response, *, close: bool) -> None:
        """Sends the answer. With close the connection ends after it.

        A client that is still sending gets the answer at once, and what it sends is thrown away for a bounded
        time and amount: closing with unread data would reset the connection and lose the answer.
        """
        if self._pending:
            await self._finish_small_body()
        headers = [
            (b"content-type", response.content_type),
            (b"content-length", str(len(response.body)).encode()),
            *response.headers,
            *self._id_headers,
        ]
        if close or self._pending:
            headers.append((b"connection", b"close"))
        await self._send({"type": "http.response.start", "status": response.status, "headers": headers})
        if self._pending:
            await self._send({"type": "http.response.body", "body": response.body, "more_body": True})
            await self._discard(LINGER_BODIES * self._max_body_bytes, LINGER_SECONDS)
            await self._send({"type": "http.response.body", "body": b""})
        else:
            await self._send({"type": "http.response.body", "body": response.body})

    def _check_size(self, size: int) -> None:
        if size > self._max_body_bytes:
            raise RefusedError(413, f"The body is larger than {self._max_body_bytes} bytes.")

    def _declared_length(self) -> int | None:
        """The body's size in bytes; None when only its end will tell."""
        if b"transfer-encoding" in self.headers:
            return None
        return int(self.headers.get(b"content-length", 0))

    def _ids(self) -> tuple[str, Headers]:
        """The request's id, and the three id headers of its answer as the Azure ML containers pair them."""
        own = self.headers.get(b"x-request-id") or str(uuid.uuid4()).encode()
        legacy = self.headers.get(b"x-ms-request-id")
        client = self.headers.get(b"x-ms-client-request-id") or legacy
        headers = [(b"x-request-id", own), (b"x-ms-request-id", legacy or client or own)]
        if client:
            headers.append((b"x-ms-client-request-id", client))
        return own.decode("latin-1"), tuple(headers)

    async def _chunk(self) -> bytes:
        received = await self._receive()
        if received["type"] == "http.disconnect":
            self._pending = False
            raise DisconnectedError
        self._pending = received.get("more_body", False)
        body: bytes = received.get("body", b"")
        return body

    async def _finish_small_body(self) -> None:
        length = self._declared_length()
        # Reading sends "100 Continue" to a client that waits for it: it would send a body that nobody wants.
        if length is not None and length <= SMALL_BODY_BYTES and b"expect" not in self.headers:
            await self._discard(length, SMALL_BODY_SECONDS)

    async def _discard(self, limit_bytes: int, seconds: float) -> None:
        with contextlib.suppress(TimeoutError, DisconnectedError):
            async with asyncio.timeout(seconds):
                while self._pending and limit_bytes > 0:
                    limit_bytes -= len(await self._chunk())
