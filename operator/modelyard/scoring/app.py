"""The ASGI application: which path and method go where."""

import asyncio
from collections.abc import Awaitable, Callable

from modelyard.scoring.exchange import (
    RETRY_AFTER,
    DisconnectedError,
    Exchange,
    Receive,
    RefusedError,
    Response,
    Scope,
    Send,
    message,
    text,
)
from modelyard.scoring.lifecycle import Lifecycle
from modelyard.scoring.score import ScoreEndpoint

Handler = Callable[[Exchange], Awaitable[Response]]


class ScoringApp:
    """Answers every request: probes from the lifecycle, /score from its endpoint."""

    def __init__(self, lifecycle: Lifecycle, score: ScoreEndpoint, max_body_bytes: int) -> None:
        self._lifecycle = lifecycle
        self._max_body_bytes = max_body_bytes
        self._routes: dict[str, dict[str, Handler]] = {
            "/": {"GET": self._live, "HEAD": self._live},
            "/ready": {"GET": self._ready, "HEAD": self._ready},
            "/score": {"GET": score.score, "POST": score.score, "OPTIONS": score.options},
        }

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        exchange = Exchange(scope, receive, send, self._max_body_bytes)
        try:
            response = await self._answer(exchange)
        except RefusedError as refusal:
            response = refusal.response
        except DisconnectedError:
            return
        except asyncio.CancelledError:
            # The server cancels what is left when the drain time is over; the client still gets a reason.
            response = message(503, "Shutting down: the time for draining is over.", RETRY_AFTER)
        await exchange.respond(response, close=self._lifecycle.draining)

    async def _answer(self, exchange: Exchange) -> Response:
        exchange.check_ids()
        handlers = self._routes.get(exchange.path)
        if handlers is None:
            raise RefusedError(404, "There is nothing at this path. Scoring is at /score.")
        handler = handlers.get(exchange.method)
        if handler is None:
            raise RefusedError(405, "Method not allowed", (b"allow", ", ".join(handlers).encode()))
        return await handler(exchange)

    async def _live(self, _: Exchange) -> Response:
        return text(200, "Healthy")

    async def _ready(self, _: Exchange) -> Response:
        if self._lifecycle.ready:
            return text(200, "Ready")
        return text(503, "Draining" if self._lifecycle.draining else "Initialising")
