"""Which path and method go where, and what all connections share."""

import asyncio
from collections import deque
from collections.abc import Callable
from email.utils import formatdate
from time import monotonic
from typing import Final
from urllib.parse import parse_qs

from modelyard.scoring.front.cors import cors_lines
from modelyard.scoring.front.docs_page import DOCS_PAGE
from modelyard.scoring.front.http_connection import Connection
from modelyard.scoring.front.keys import Keys
from modelyard.scoring.front.lifecycle import Lifecycle
from modelyard.scoring.front.messages import (
    RETRY_AFTER,
    Request,
    Response,
    message,
    text,
)
from modelyard.scoring.front.metrics import Metrics
from modelyard.scoring.front.request_ids import Ids
from modelyard.scoring.front.request_queue import Dispatcher
from modelyard.scoring.front.score_endpoint import (
    NOT_STARTED,
    UNAUTHORISED,
    ScoreEndpoint,
)
from modelyard.scoring.front.telemetry import Telemetry
from modelyard.scoring.settings import RuntimeSettings

Handler = Callable[[Request], Response | None]

PACE_SECONDS: Final = 1.0
"""How long a connection that found the queue full is not read from, unless a place becomes free: what it was
told by Retry-After. Without that, 1500 clients that ask again at once took nine tenths of the throughput."""

PACE_STEP_SECONDS: Final = 0.02
PACE_STEP: Final = 16
"""Of paused connections so many are read on at once, so that refusing comes in small portions, and at most
800 times a second whatever the number of clients."""


class ScoringSite:
    """Answers every request: probes at once, /score by its endpoint."""

    def __init__(
        self,
        settings: RuntimeSettings,
        lifecycle: Lifecycle,
        dispatcher: Dispatcher,
        telemetry: Telemetry | None,
    ) -> None:
        self.connections: set[Connection] = set()
        self.max_body_bytes = settings.max_body_bytes
        self._settings = settings
        self._lifecycle = lifecycle
        self._dispatcher = dispatcher
        self._keys = Keys(settings.keys_dir)
        self._metrics = Metrics()
        self.score = ScoreEndpoint(settings, lifecycle, self._keys, dispatcher, self._metrics, telemetry)
        self._ids = Ids()
        self._held_bytes = 0
        self._pacing: deque[tuple[float, Connection]] = deque()
        read = {"GET": True, "HEAD": True}
        self._routes: dict[str, dict[str, Handler]] = {
            "/": dict.fromkeys(read, self._live),
            "/ready": dict.fromkeys(read, self._ready),
            "/metrics": dict.fromkeys(read, self._show_metrics),
            "/docs": dict.fromkeys(read, self._docs),
            "/swagger.json": dict.fromkeys(read, self._swagger),
            "/score": {"GET": self.score.score, "POST": self.score.score, "OPTIONS": self.score.options},
        }
        self.tick()

    def tick(self) -> None:
        """Called twice a second: clocks that cost a request nothing, and limits of time."""
        self.now = monotonic()
        self.date_line = f"date: {formatdate(usegmt=True)}\r\n".encode()
        for connection in list(self.connections):
            connection.check(self.now)
        while self._pacing and self._lifecycle.draining:
            self._read_one_on()

    @property
    def draining(self) -> bool:
        return self._lifecycle.draining

    # --- what connections ask

    def admit(self, request: Request) -> Response | None:
        refusal = self._ids.identify(request)
        if self._settings.cors_origins and request.path == "/score":
            request.echo += cors_lines(request, self._settings.cors_origins)
        if refusal is not None:
            return refusal
        handlers = self._routes.get(request.path)
        if handlers is None:
            return message(404, "There is nothing at this path. Scoring is at /score.")
        if request.method not in handlers:
            return message(405, "Method not allowed", f"allow: {', '.join(handlers)}\r\n".encode())
        if request.path == "/score" and request.method != "OPTIONS":
            refusal = self.score.admit(request)
            if refusal is not None:
                return refusal
        return self.may_hold(request, request.declared or 0)

    def may_hold(self, request: Request, more_bytes: int) -> Response | None:
        size = request.reserved + more_bytes
        if size > self.max_body_bytes:
            refusal = message(413, f"The body is larger than {self.max_body_bytes} bytes.")
        elif self._held_bytes + more_bytes > self._settings.max_held_bytes:
            words = f"Overloaded: request bodies hold {self._held_bytes} bytes already. Try again later."
            refusal = message(503, words, RETRY_AFTER)
        else:
            request.reserved = size
            self._held_bytes += more_bytes
            return None
        if request.path == "/score":
            self.score.refused(request, refusal)
        return refusal

    def handle(self, request: Request) -> None:
        response = self._routes[request.path][request.method](request)
        if response is not None:
            request.connection.respond(request, response)

    def abandoned(self, request: Request) -> None:
        self.score.abandoned(request)

    def finished(self, request: Request) -> None:
        self._held_bytes -= request.reserved
        request.reserved = 0
        if self._pacing and request.job is not None and not self._dispatcher.full:
            self._read_one_on()

    def paced(self, connection: Connection) -> None:
        if not self._pacing:
            asyncio.get_running_loop().call_later(PACE_STEP_SECONDS, self._read_some_on)
        self._pacing.append((self.now, connection))

    def _read_some_on(self) -> None:
        for _ in range(min(len(self._pacing), PACE_STEP)):
            if monotonic() - self._pacing[0][0] < PACE_SECONDS:
                break
            self._read_one_on()
        if self._pacing:
            asyncio.get_running_loop().call_later(PACE_STEP_SECONDS, self._read_some_on)

    def _read_one_on(self) -> None:
        self._pacing.popleft()[1].read_on()

    # --- paths

    def _live(self, _: Request) -> Response:
        limit = self._settings.init_seconds
        if not self._lifecycle.started and monotonic() - self._lifecycle.born_at > limit:
            return text(503, f"init() has not ended after {limit} s")
        return text(200, "Healthy")

    def _ready(self, _: Request) -> Response:
        if self._lifecycle.draining:
            return text(503, "Draining")
        if not self._lifecycle.started:
            return text(503, "Initialising")
        return text(200, "Ready") if self._dispatcher.ready else text(503, "Stuck or restarting")

    def _show_metrics(self, _: Request) -> Response:
        written = self._metrics.text(
            running=self._dispatcher.sent,
            waiting=self._dispatcher.waiting,
            places=self._settings.max_concurrent_requests,
            restarts=self._dispatcher.restarts,
            ready=self._dispatcher.ready and not self._lifecycle.draining,
        )
        return text(200, written, b"text/plain; version=0.0.4; charset=utf-8")

    def _docs(self, _: Request) -> Response:
        return text(200, DOCS_PAGE, b"text/html; charset=utf-8")

    def _swagger(self, request: Request) -> Response:
        """A schema tells about the model, so it asks for the key as scoring does."""
        if not self._keys.accepts(request.headers.get(b"authorization")):
            return UNAUTHORISED
        documents = self._dispatcher.openapi
        if documents is None:
            return NOT_STARTED
        asked = parse_qs(request.query.decode("latin-1")).get("version", ["2"])[0]
        document = documents.get(asked.removesuffix(".0"))
        if document is None:
            there = ", ".join(sorted(documents))
            return message(404, f"There is no OpenAPI of this version. There are: {there}.")
        return Response(200, document)
