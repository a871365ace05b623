"""A transport that returns prepared statuses."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager
from typing import Final

from modelyard.kube.transport import Request, Response, TransportError

NO_RESPONSE: Final = 0


class FakeTransport:
    """Returns a response with the next status of `statuses`, the last status again and again."""

    def __init__(self, *statuses: int):
        self.statuses = list(statuses)
        self.requests: list[Request] = []

    async def close(self) -> None:
        """Do nothing: there are no connections."""

    def stream(self, request: Request) -> AbstractAsyncContextManager[Response | AsyncIterator[bytes]]:
        """Fail: no test with this transport streams."""
        raise NotImplementedError

    async def send(self, request: Request) -> Response:
        """Return a response without a body."""
        self.requests.append(request)
        status = self.statuses.pop(0) if len(self.statuses) > 1 else self.statuses[0]
        if status == NO_RESPONSE:
            raise TransportError("no connection")
        return Response(status, None, b"{}")
