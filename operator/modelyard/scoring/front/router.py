"""The handlers of paths and methods, and the state that all connections share."""

import asyncio
import re
from collections import deque
from dataclasses import replace
from time import monotonic
from typing import TYPE_CHECKING, Final, cast
from urllib.parse import parse_qs, unquote

from modelyard.scoring.contract import LIVE_PATH, LOAD_PATH, METRICS_PATH, READY_PATH, SCORE_PATH
from modelyard.scoring.front import errors
from modelyard.scoring.front.coding_tasks import CodingTasks
from modelyard.scoring.front.content_coding import read_coding
from modelyard.scoring.front.cors import cors_lines
from modelyard.scoring.front.docs_page import DOCS_PAGE
from modelyard.scoring.front.http_connection import HttpConnection
from modelyard.scoring.front.http_limits import SMALL_BODY_BYTES
from modelyard.scoring.front.http_server import HttpServer
from modelyard.scoring.front.inference_endpoint import InferenceEndpoint, is_inference_path
from modelyard.scoring.front.keys import ScoringKeys
from modelyard.scoring.front.lifecycle import Lifecycle
from modelyard.scoring.front.memory import container_memory
from modelyard.scoring.front.messages import (
    Handler,
    HttpRequest,
    HttpResponse,
    in_error_form,
    text_response,
)
from modelyard.scoring.front.metrics import Metrics, split_sent
from modelyard.scoring.front.openapi_prefix import FORWARDED_PREFIX, with_prefix
from modelyard.scoring.front.packed_requests import PackedRequests
from modelyard.scoring.front.packed_responses import PackedResponses
from modelyard.scoring.front.request_ids import RequestIds
from modelyard.scoring.front.request_queue import RequestQueue
from modelyard.scoring.front.request_target import canonical_path
from modelyard.scoring.front.score_endpoint import NOT_STARTED, UNAUTHORISED, ScoreEndpoint
from modelyard.scoring.front.telemetry import Telemetry
from modelyard.scoring.settings import RuntimeSettings

if TYPE_CHECKING:
    from modelyard.scoring.front.collection.request_collector import RequestCollector

BODY_NOT_TAKEN: Final = errors.BODY_NOT_TAKEN.response()

MAX_CONNECTIONS: Final = 8192
"""An idle connection takes 2 KB."""

OPENAPI_PATH: Final = "/swagger.json"
_SLASHES: Final = re.compile("/+")
_CORS_PATHS: Final = (LIVE_PATH, OPENAPI_PATH, SCORE_PATH)
"""Paths that web pages of the origins in AML_CORS_ORIGINS may call."""

THROTTLE_SECONDS: Final = 1.0
"""How long the server reads nothing from a connection that found the queue full, unless a place becomes free.

It is the time of Retry-After. Without the pause, 1500 clients that ask again at once took nine tenths of the
throughput.
"""

RESUME_STEP_SECONDS: Final = 0.02
RESUME_STEP: Final = 16
"""Throttled connections that are read again in one step: refusals then come in small portions, at most 800 a
second for any number of clients."""


class Router(HttpServer):
    """Answers every request: probes at once, /score by the workers."""

    def __init__(
        self,
        settings: RuntimeSettings,
        lifecycle: Lifecycle,
        queue: RequestQueue,
        telemetry: Telemetry | None,
        collector: "RequestCollector | None" = None,
    ) -> None:
        super().__init__(max_connections=MAX_CONNECTIONS, max_body_bytes=settings.max_body_bytes)
        self._settings = settings
        self._lifecycle = lifecycle
        self._queue = queue
        self._keys = ScoringKeys(settings.keys_dir)
        self._metrics = Metrics()
        self._coding_tasks = CodingTasks()
        self._packed_requests = PackedRequests(
            self._coding_tasks, self._reserve_unpacked, self._handle, self._refuse_body
        )
        self._packed_responses = PackedResponses(self._coding_tasks)
        self.score = ScoreEndpoint(
            settings,
            lifecycle,
            self._keys,
            queue,
            self._metrics,
            telemetry,
            self._packed_responses,
            collector,
        )
        self._collector = collector
        probes: dict[str, Handler] = {"live": self._live, "ready": self._ready}
        self._inference = InferenceEndpoint(settings, self._keys, queue, self.score, probes)
        self._ids = RequestIds()
        self._throttled: deque[tuple[float, HttpConnection]] = deque()
        """Connections with the time since when they are throttled, oldest first."""
        self._routes: dict[str, dict[str, Handler]] = {
            LIVE_PATH: {**_read_only(self._live), "OPTIONS": _preflight},
            READY_PATH: _read_only(self._ready),
            METRICS_PATH: _read_only(self._metrics_text),
            LOAD_PATH: _read_only(self._load),
            "/docs": _read_only(self._docs),
            OPENAPI_PATH: {**_read_only(self._openapi), "OPTIONS": _preflight},
            SCORE_PATH: {
                "GET": self.score.score,
                "POST": self.score.score,
                "OPTIONS": self.score.options,
            },
        }

    def tick(self) -> None:
        """Update the shared clock and apply all time limits. The server calls it twice a second."""
        super().tick()
        while self._throttled and self._lifecycle.draining:
            self._resume_oldest()

    # --- called by connections

    @property
    def draining(self) -> bool:
        """Return True if connections close after their next response."""
        return self._lifecycle.draining

    @property
    def cancels(self) -> bool:
        """Return True if a request whose client has left can be cancelled."""
        return self._queue.cancels

    def admit(self, request: HttpRequest) -> HttpResponse | None:
        """Check ids, path, method, key, queue and body size. Return a refusal, or None."""
        refusal = self._identify(request) or self._refusal(request)
        return refusal and _in_form_of_path(request, refusal)

    def _identify(self, request: HttpRequest) -> HttpResponse | None:
        """Set path, ids and CORS headers. Return a refusal if an id is too long."""
        if request.path not in self._routes:
            request.path = canonical_path(request.path)
        refusal = self._ids.identify(request)
        if request.path not in self._routes:
            request.path = normal_path(request.path)
        if self._settings.cors_origins and (request.path in _CORS_PATHS or is_inference_path(request.path)):
            request.response_lines += cors_lines(request, self._settings.cors_origins)
        return refusal

    def _refusal(self, request: HttpRequest) -> HttpResponse | None:
        """Check path, method, key, queue and body size. Return a refusal, or None."""
        handlers = self._handlers(request.path)
        if isinstance(handlers, HttpResponse):
            return handlers
        if handlers is None:
            return errors.NO_PATH.response()
        request.handler = handlers.get(request.method)
        if request.handler is None:
            allow = f"allow: {', '.join(handlers)}\r\n".encode()
            return replace(errors.METHOD.response(), header_lines=allow)
        reaches_run = request.path == SCORE_PATH and self.score.reaches_run(request)
        if reaches_run or (is_inference_path(request.path) and request.method == "POST"):
            refusal = self.score.admit(request)
            if refusal is not None:
                return refusal
            request.connection.is_trusted = True
        if request.method == "POST":
            return self._check_body(request)
        request.drops_body = True
        return BODY_NOT_TAKEN if (request.declared_size or 0) > SMALL_BODY_BYTES else None

    def _check_body(self, request: HttpRequest) -> HttpResponse | None:
        """Check coding and declared size of a body that follows. Return a refusal, or None."""
        refusal = read_coding(request)
        if refusal is None:
            return self._check_memory(request, request.declared_size or 0)
        self.score.record_refusal(request, refusal)
        return refusal

    def reserve_body(self, request: HttpRequest, more_bytes: int) -> HttpResponse | None:
        """Reserve memory for a received piece of a body. Return a refusal if body or memory are too large."""
        if request.drops_body:
            return BODY_NOT_TAKEN if request.size > SMALL_BODY_BYTES else None
        refusal = self._check_memory(request, more_bytes)
        if refusal is not None:
            return _in_form_of_path(request, refusal)
        request.reserved_bytes += more_bytes
        self.held_bytes += more_bytes
        return None

    def _check_memory(self, request: HttpRequest, more_bytes: int) -> HttpResponse | None:
        """Return a refusal if a body is too large with the bytes that follow, or memory is short."""
        if request.reserved_bytes + more_bytes > self.max_body_bytes:
            refusal = errors.BODY_TOO_LARGE.response(most=self.max_body_bytes)
        elif self.held_bytes + more_bytes > self._settings.max_held_bytes:
            refusal = self._short_of_memory()
        else:
            return None
        self.score.record_refusal(request, refusal)
        return refusal

    def _short_of_memory(self) -> HttpResponse:
        return errors.SHORT_OF_MEMORY.response(held=self.held_bytes)

    def _reserve_unpacked(self, request: HttpRequest, unpacked: int, packed: int) -> HttpResponse | None:
        """Reserve memory for a body while it is unpacked. Return a refusal if body or memory is too large."""
        more_bytes = unpacked + packed - request.reserved_bytes
        if unpacked > self.max_body_bytes:
            return errors.UNPACKED_TOO_LARGE.response(most=self.max_body_bytes)
        if self.held_bytes + more_bytes > self._settings.max_held_bytes:
            return self._short_of_memory()
        request.reserved_bytes += more_bytes
        self.held_bytes += more_bytes
        return None

    def _refuse_body(self, request: HttpRequest, refusal: HttpResponse) -> None:
        """Answer a request whose packed body is invalid or too large."""
        self.score.record_refusal(request, refusal)
        request.connection.respond(request, _in_form_of_path(request, refusal))

    def dispatch(self, request: HttpRequest) -> None:
        """Pass a complete request to its handler, once its body is unpacked."""
        if request.coding and request.size:
            self._packed_requests.unpack(request)
        else:
            self._handle(request)

    def _handle(self, request: HttpRequest) -> None:
        handler = cast(Handler, request.handler)  # admit() has refused other paths and methods
        response = handler(request)
        if response is not None:
            self._packed_responses.pack(
                request,
                _in_form_of_path(request, response),
                lambda packed: request.connection.respond(request, packed),
            )

    def _handlers(self, path: str) -> dict[str, Handler] | HttpResponse | None:
        """Return the handlers of a path by method, a refusal, or None for no such path."""
        handlers = self._routes.get(path)
        if handlers is None and is_inference_path(path):
            return self._inference.handlers(path)
        return handlers

    @property
    def is_coding(self) -> bool:
        """Return True while a large body or response is being unpacked or packed."""
        return self._coding_tasks.busy

    def abandon(self, request: HttpRequest) -> None:
        """Take a request out of the queue: its client has closed the connection."""
        self._coding_tasks.cancel(request)
        self.score.abandon(request)

    def release(self, request: HttpRequest) -> None:
        """Free the memory of an ended request, and let a throttled connection take its place in the queue.

        The request no longer refers to its place in the queue, which refers to it. So both are freed at once,
        and are no work for the garbage collector.
        """
        self.held_bytes -= request.reserved_bytes
        request.reserved_bytes = 0
        was_queued, request.queued = request.queued is not None, None
        if self._throttled and was_queued and not self._queue.full:
            self._resume_oldest()

    def throttle(self, connection: HttpConnection) -> None:
        """Resume reading from the connection after THROTTLE_SECONDS, or when the queue has a place."""
        if not self._throttled:
            asyncio.get_running_loop().call_later(RESUME_STEP_SECONDS, self._resume_some)
        self._throttled.append((self.now, connection))

    def _resume_some(self) -> None:
        for _ in range(min(len(self._throttled), RESUME_STEP)):
            if monotonic() - self._throttled[0][0] < THROTTLE_SECONDS:
                break
            self._resume_oldest()
        if self._throttled:
            asyncio.get_running_loop().call_later(RESUME_STEP_SECONDS, self._resume_some)

    def _resume_oldest(self) -> None:
        self._throttled.popleft()[1].resume_reading()

    # --- handlers

    def _live(self, _: HttpRequest) -> HttpResponse:
        limit = self._settings.init_seconds
        if not self._lifecycle.started and monotonic() - self._lifecycle.born_at > limit:
            return text_response(503, f"init() has not ended after {limit} s")
        return text_response(200, "Healthy")

    def _ready(self, _: HttpRequest) -> HttpResponse:
        if self._lifecycle.draining:
            return text_response(503, "Draining")
        if not self._queue.complete:
            return text_response(503, "Initialising")
        return text_response(200, "Ready") if self._queue.ready else text_response(503, "Stuck or restarting")

    def _metrics_text(self, _: HttpRequest) -> HttpResponse:
        exposition = self._metrics.text(
            sent=self._queue.sent,
            waiting=self._queue.waiting,
            concurrency=self._queue.places,
            restarts=self._queue.restarts,
            ready=self._queue.ready and not self._lifecycle.draining,
            memory=container_memory(),
            collection=self._collector.counts() if self._collector else None,
        )
        return text_response(200, exposition, b"text/plain; version=0.0.4; charset=utf-8")

    def _load(self, _: HttpRequest) -> HttpResponse:
        """Return the load, for the autoscaler. It is read each second, so it is made without an encoder."""
        queue = self._queue
        running, waiting = split_sent(queue.sent, queue.waiting, queue.places)
        ready = b"true" if queue.ready and not self._lifecycle.draining else b"false"
        return HttpResponse(
            200,
            b'{"running": %d, "waiting": %d, "places": %d, "requests": %d, "ready": %b}'
            % (running, waiting, queue.places, queue.accepted, ready),
        )

    def _docs(self, _: HttpRequest) -> HttpResponse:
        return text_response(200, DOCS_PAGE, b"text/html; charset=utf-8")

    def _openapi(self, request: HttpRequest) -> HttpResponse:
        """Return the OpenAPI document. It describes the model, so it needs the key as scoring does."""
        if not self._keys.accepts(request.headers.get(b"authorization")):
            return UNAUTHORISED
        documents = self._queue.openapi
        if documents is None:
            return NOT_STARTED
        version = parse_qs(request.query.decode("latin-1")).get("version", ["2"])[0]
        document = documents.get(version.removesuffix(".0"))
        if document is None:
            versions = ", ".join(sorted(documents))
            return errors.NO_OPENAPI.response(versions=versions)
        return HttpResponse(200, with_prefix(document, request.headers.get(FORWARDED_PREFIX)))


def _in_form_of_path(request: HttpRequest, response: HttpResponse) -> HttpResponse:
    """Return the response with the form of errors that the request's path has."""
    return in_error_form(response) if is_inference_path(request.path) else response


def normal_path(path: str) -> str:
    """Return the path of a request target without escapes, double slashes and host.

    Servers must accept a target with a host (RFC 9112 section 3.2.2).
    """
    scheme, separator, rest = path.partition("://")
    if separator and scheme.lower() in ("http", "https"):
        path = "/" + rest.partition("/")[2]
    return _SLASHES.sub("/", unquote(path, "latin-1"))


def _preflight(_: HttpRequest) -> HttpResponse:
    """Answer a preflight request: admit() adds the CORS headers."""
    return text_response(200, "")


def _read_only(handler: Handler) -> dict[str, Handler]:
    return {"GET": handler, "HEAD": handler}
