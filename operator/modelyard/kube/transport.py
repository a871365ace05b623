"""Requests to one API server and its responses, as the client and the tests exchange them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Any, Final, NamedTuple, Protocol

from modelyard.kube.canonical import canonical_json

JSON: Final = "application/json"

Encoder = Callable[[Any], bytes]


class TransportError(Exception):
    """The API server sent no response, or only a part of it."""


class ResponseTooLargeError(Exception):
    """A response has more bytes than its request allows."""


class Request(NamedTuple):
    """A request to the API server."""

    method: str
    path: str
    query: Mapping[str, str] = {}
    body: Mapping[str, Any] | None = None
    content_type: str = JSON
    accept: str = JSON
    encode: Encoder = canonical_json  # of the body
    token: str | None = None  # bearer token of a caller, in place of the transport's own credentials
    max_bytes: int | None = None  # of the response; the rest is not read


@dataclass(frozen=True)
class Response:
    """A complete response of the API server. `retry_after` is in seconds."""

    status: int
    retry_after: float | None
    body: bytes

    @property
    def is_success(self) -> bool:
        """Return whether the API server did what the request asks for. It never redirects."""
        return self.status < 300


class Transport(Protocol):
    """Connections to one API server."""

    async def close(self) -> None:
        """Close the connections."""

    async def send(self, request: Request) -> Response:
        """Return the complete response.

        Raises TransportError if there is none in time, and ResponseTooLargeError beyond `max_bytes`.
        """

    def stream(self, request: Request) -> AbstractAsyncContextManager[Response | AsyncIterator[bytes]]:
        """Yield an iterator of the response's lines, or the complete response if it is an error.

        The context manager and the iterator raise TransportError if the connection breaks.
        """
