"""An HTTP request, its place in the queue, and its response, as the parts of the front exchange them."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final, Protocol

from modelyard.scoring.front.span import Span

if TYPE_CHECKING:
    from modelyard.scoring.front.response_stream import ResponseStream

RETRY_AFTER: Final = b"retry-after: 1\r\n"
"""Header line, in seconds. Most requests take milliseconds, and a new replica is ready after few seconds."""


_MESSAGE: Final = b'{"message": '
"""The beginning of the body of each error response."""


@dataclass(frozen=True, slots=True)
class HttpResponse:
    """A response, complete except for the headers that every response has."""

    status: int
    body: bytes
    content_type: bytes = b"application/json"
    header_lines: bytes = b""
    """More header lines, each with its line end."""
    throttles: bool = False
    """The connection stops reading for a while: clients that ignore Retry-After must not slow down others."""


def text_response(status: int, body: str, content_type: bytes = b"text/plain; charset=utf-8") -> HttpResponse:
    """Return a response whose body is text."""
    return HttpResponse(status, body.encode(), content_type)


def error_response(status: int, message: str, header_lines: bytes = b"") -> HttpResponse:
    """Return a response with the body {"message": …}, the form of all errors of the contract."""
    return HttpResponse(status, json.dumps({"message": message}).encode(), header_lines=header_lines)


def in_error_form(response: HttpResponse) -> HttpResponse:
    """Return an error response in the form of the Open Inference Protocol, {"error": …}, others unchanged."""
    if response.status < 400 or not response.body.startswith(_MESSAGE):
        return response
    return replace(response, body=b'{"error": ' + response.body[len(_MESSAGE) :])


class ResponseWriter(Protocol):
    """The connection that a request came from."""

    is_trusted: bool
    """A request of the connection had a valid key or token."""

    @property
    def client_address(self) -> tuple[str, int]:
        """Return the address and port at the other end."""

    def respond(self, request: HttpRequest, response: HttpResponse) -> None:
        """Write the response after those to the connection's earlier requests."""

    def write(self, request: HttpRequest, data: bytes) -> None:
        """Write a part of the response to the oldest request."""

    def end_response(self, request: HttpRequest, *, keep_alive: bool) -> None:
        """Go on to the next request after a response, or close the connection."""

    @property
    def is_unread(self) -> bool:
        """Return True if the client does not read, and more than a little waits for it."""

    def begin_response(self, request: HttpRequest, response: HttpResponse, length: int | None) -> Framing:
        """Write status line and headers of a response whose body follows by write().

        `length` is that of the body in bytes, None if it is not declared.
        """

    def break_response(self, request: HttpRequest) -> None:
        """End the connection in the middle of a body, so that the client sees that the body is incomplete."""

    def abort(self) -> None:
        """Close the connection at once, without a response."""


@dataclass(frozen=True, slots=True)
class Framing:
    """How a client finds the end of a body."""

    is_chunked: bool
    """In chunks, of which the last one is empty; otherwise by a length, or by the end of the connection."""
    keep_alive: bool
    """The connection stays open after the response."""


class StreamSource(Protocol):
    """The worker's end of a streamed result."""

    def acknowledge(self) -> None:
        """Let the worker send more: all received bytes are with the client, or dropped."""

    def receive(self, size: int) -> None:
        """Count the bytes of a piece."""

    def cancel(self) -> None:
        """Make the worker close the driver's iterator before its next piece."""


class HttpRequest:
    """One request, from its first byte to its response."""

    __slots__ = (
        "began_at", "chunks", "coding", "complete", "connection", "declared_size", "dispatched", "drops_body",
        "expects_continue", "handler", "headers", "is_http_1_0", "keep_alive", "method", "path", "query",
        "queued", "refusal", "refused_at", "request_id", "reserved_bytes", "response_lines", "size", "span",
        "stream", "target",
    )  # fmt: skip

    def __init__(self, connection: ResponseWriter, began_at: float) -> None:
        self.connection = connection
        self.began_at = began_at
        """When its first byte arrived (time.monotonic, seconds)."""
        self.method = ""
        self.target = b""
        """The request target of the request line: path and query, not decoded."""
        self.path = ""
        self.handler: Handler | None = None
        """The function for the path and the method; set once the head is admitted."""
        self.query = b""
        self.headers: dict[bytes, bytes] = {}
        """Names in lower case; repeated ones joined by a comma (RFC 9110 section 5.2)."""
        self.chunks: list[bytes] = []
        """The body received so far; emptied when the request is refused or queued."""
        self.coding = b""
        """How the body is packed: b"gzip" or b"deflate"; empty for an unpacked one."""
        self.size = 0
        """Bytes of body received so far; of the unpacked body once it is unpacked."""
        self.declared_size: int | None = 0
        """Bytes of the whole body; None for a chunked body."""
        self.reserved_bytes = 0
        """Bytes that count against the memory for request bodies."""
        self.drops_body = False
        """The path takes no body: a small one is read and not stored."""
        self.complete = False
        """The whole body has arrived."""
        self.dispatched = False
        """The router has it, or its refusal is written."""
        self.keep_alive = True
        self.is_http_1_0 = False
        self.expects_continue = False
        """The client waits for `100 Continue` before it sends the body."""
        self.refusal: HttpResponse | None = None
        """The response, if the request was refused before its body arrived."""
        self.refused_at = 0.0
        self.request_id = ""
        self.response_lines = b""
        """Header lines of the response that depend on the request: ids, CORS."""
        self.queued: QueuedRequest | None = None
        self.span: Span | None = None
        """The trace span, if the request is traced."""
        self.stream: ResponseStream | None = None
        """The body of the response, if it goes out in pieces."""


Handler = Callable[[HttpRequest], HttpResponse | None]
"""Returns the response, or None if the request's connection gets it later."""


class QueuedRequest:
    """A scoring request in the queue or at a worker."""

    __slots__ = (
        "answered",
        "arrived_at",
        "body",
        "chunks",
        "deadline",
        "flags",
        "meta",
        "number",
        "request",
        "response",
        "sent_at",
        "size",
        "stream",
    )

    def __init__(
        self, request: HttpRequest, flags: int, meta: bytes, chunks: Sequence[bytes], size: int
    ) -> None:
        self.request = request
        self.flags = flags
        """See frames.REQUEST."""
        self.meta = meta
        """Method, path, query, headers and the client's address as JSON; empty if the driver uses none."""
        self.chunks = chunks
        self.body: Sequence[bytes] | None = None
        """The body up to the response, if data collection keeps the request; memory for bodies counts it."""
        self.size = size
        self.arrived_at = time.monotonic()
        self.deadline = 0.0
        """When run() must have begun (time.monotonic, seconds)."""
        self.number = 0
        """Its number on the channel of its worker; 0 until it is sent."""
        self.sent_at = 0.0
        self.answered = False
        """The client has its response or has left: a later reply of the worker is dropped."""
        self.stream: StreamSource | None = None
        """The worker's end of the result, if it is a stream that has begun."""
        self.response: ResponseStream | None = None
        """The client's end of such a result."""
