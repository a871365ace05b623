"""One HTTP request, its way through a worker, and its answer, as the parts of the front pass them on."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Protocol

RETRY_AFTER: Final = b"retry-after: 1\r\n"
"""Seconds. Most requests take milliseconds, and a new replica comes within a few seconds."""


@dataclass(frozen=True, slots=True)
class Response:
    """An answer, complete but for the headers which every answer has."""

    status: int
    body: bytes
    content_type: bytes = b"application/json"
    lines: bytes = b""
    """More header lines, each with its line end."""
    paces: bool = False
    """The connection is not read on at once: clients that ignore Retry-After must not cost accepted work."""


def text(status: int, body: str, content_type: bytes = b"text/plain; charset=utf-8") -> Response:
    return Response(status, body.encode(), content_type)


def message(status: int, words: str, lines: bytes = b"") -> Response:
    """An answer in the form of all errors of the contract: {"message": words}."""
    return Response(status, json.dumps({"message": words}).encode(), lines=lines)


class Answering(Protocol):
    """Where a request came from."""

    def respond(self, request: Request, response: Response) -> None:
        """Answer it, in its turn."""


class Request:
    """One request, from its first byte to its answer."""

    __slots__ = (
        "chunks", "complete", "connection", "declared", "echo", "expects_continue", "handled", "headers",
        "is_http_1_0", "job", "keep_alive", "method", "path", "query", "refusal", "refused_at", "request_id",
        "reserved", "size", "target",
    )  # fmt: skip

    def __init__(self, connection: Answering) -> None:
        self.connection = connection
        self.method = ""
        self.target = b""
        """As it was sent: path and query."""
        self.path = ""
        self.query = b""
        self.headers: dict[bytes, bytes] = {}
        """Names in lower case; repeated ones joined by a comma (RFC 9110 section 5.2)."""
        self.chunks: list[bytes] = []
        """The body so far; dropped when the request is refused."""
        self.size = 0
        """Bytes of body so far."""
        self.declared: int | None = 0
        """Bytes of body to come in all; None when only its end will tell."""
        self.reserved = 0
        """Bytes that count against the memory for bodies."""
        self.complete = False
        self.handled = False
        """It was passed on; the answer comes when it comes."""
        self.keep_alive = True
        self.is_http_1_0 = False
        self.expects_continue = False
        self.refusal: Response | None = None
        """Decided before the body was there."""
        self.refused_at = 0.0
        self.request_id = ""
        self.echo = b""
        """Header lines of the answer that come from the request: ids, CORS."""
        self.job: Job | None = None


class Job:
    """One request on its way through a worker."""

    __slots__ = (
        "answered",
        "arrived",
        "chunks",
        "deadline",
        "flags",
        "id",
        "meta",
        "request",
        "sent_at",
        "size",
    )

    def __init__(self, request: Request, flags: int, meta: bytes, chunks: Sequence[bytes], size: int) -> None:
        self.request = request
        self.flags = flags
        self.meta = meta
        self.chunks = chunks
        self.size = size
        self.arrived = time.monotonic()
        self.deadline = 0.0
        self.id = 0
        """Its number on the channel of its worker; 0 before it was sent."""
        self.sent_at = 0.0
        self.answered = False
        """Nobody waits any more: it gave up, timed out, or its client left."""
