"""/score: access, requests to the workers, and responses from their replies."""

import json
import logging
import re
import time
from dataclasses import replace
from functools import cached_property, partial
from typing import TYPE_CHECKING, Final

from modelyard.scoring import frames
from modelyard.scoring.contract import BODILESS
from modelyard.scoring.frames import Reply
from modelyard.scoring.front import errors
from modelyard.scoring.front.keys import ScoringKeys
from modelyard.scoring.front.lifecycle import Lifecycle
from modelyard.scoring.front.messages import (
    HttpRequest,
    HttpResponse,
    QueuedRequest,
    in_error_form,
    text_response,
)
from modelyard.scoring.front.metrics import Metrics
from modelyard.scoring.front.packed_responses import MIN_PACKED_BYTES, PackedResponses
from modelyard.scoring.front.request_queue import CRASHED, CUT_OFF, INVALID, TIMED_OUT, RequestQueue
from modelyard.scoring.front.response_stream import ResponseStream
from modelyard.scoring.front.telemetry import Telemetry
from modelyard.scoring.settings import RuntimeSettings

if TYPE_CHECKING:
    from modelyard.scoring.front.collection.request_collector import RequestCollector

log = logging.getLogger(__name__)

CLIENT_LEFT: Final = 499
"""Recorded status of a request whose client left before its response (nginx's 499)."""

UNAUTHORISED: Final = errors.UNAUTHORISED.response()
NOT_STARTED: Final = errors.NOT_STARTED.response()
SCRIPT_ERROR: Final = errors.SCRIPT.response()

INFERENCE_HEADER_LENGTH: Final = b"inference-header-content-length"
"""Request header of the Open Inference Protocol: bytes of JSON before the binary data."""

ALIGNMENT: Final = 16
"""Bytes: twice the largest element of a tensor."""

_RESERVED_HEADERS: Final = {
    "content-length", "connection", "transfer-encoding", "date", "keep-alive", "x-ms-run-fn-exec-ms",
}  # fmt: skip
"""Headers that the front writes; those of a driver's response are dropped."""

_HEADER_NAME: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_HEADER_VALUE: Final = re.compile(r"[\t\x20-\x7e\x80-\xff]*")


_STREAM_FAILURES: Final = {
    frames.STREAM_FAILED: "the driver raised",
    TIMED_OUT: "a piece took longer than SCORING_TIMEOUT_MS",
    CRASHED: "the worker process ended",
    CUT_OFF: "the time for draining is over",
}


class ScoreEndpoint:
    """The handlers of /score."""

    def __init__(
        self,
        settings: RuntimeSettings,
        lifecycle: Lifecycle,
        keys: ScoringKeys,
        queue: RequestQueue,
        metrics: Metrics,
        telemetry: Telemetry | None,
        packed_responses: PackedResponses,
        collector: "RequestCollector | None",
    ) -> None:
        self._packed_responses = packed_responses
        self._collector = collector
        self._settings = settings
        self._lifecycle = lifecycle
        self._keys = keys
        self._queue = queue
        self._metrics = metrics
        self._telemetry = telemetry

    @cached_property
    def _overloaded(self) -> HttpResponse:
        """The refusal of a started server, which no longer changes its number of places."""
        milliseconds = self._settings.queue_timeout_seconds * 1000
        places = self._queue.places
        return errors.OVERLOADED.response(places=places, milliseconds=milliseconds)

    @cached_property
    def _queue_full(self) -> HttpResponse:
        return replace(self._overloaded, throttles=True)

    def admit(self, request: HttpRequest) -> HttpResponse | None:
        """Check key, start and queue before the body arrives, so that a refusal is cheap."""
        self._lifecycle.record_scoring()
        if not self._keys.accepts(request.headers.get(b"authorization")):
            refusal = UNAUTHORISED
        elif not self._lifecycle.started:
            refusal = NOT_STARTED
        elif self._queue.full:
            refusal = self._queue_full
        else:
            return None
        self.record_refusal(request, refusal)
        return refusal

    def record_refusal(self, request: HttpRequest, refusal: HttpResponse) -> None:
        """Count and log a request that is refused without its body, which may still arrive."""
        self._metrics.requests[refusal.status] += 1
        if self._settings.access_log:
            self._log_access(request, refusal.status, len(refusal.body), 0.0)

    def reaches_run(self, request: HttpRequest) -> bool:
        """Return False for an OPTIONS request that run() does not see.

        A driver with @rawhttp answers preflights itself if AML_CORS_ORIGINS is not set. Browsers send no key
        with a preflight, and without a key no code of the driver runs.
        """
        if request.method != "OPTIONS":
            return True
        is_drivers = self._queue.takes_options and not self._settings.cors_origins
        return is_drivers and self._keys.accepts(request.headers.get(b"authorization"))

    def options(self, request: HttpRequest) -> HttpResponse | None:
        """Answer an OPTIONS request; the router adds the CORS headers of a preflight."""
        return self.score(request) if self.reaches_run(request) else text_response(200, "")

    def score(self, request: HttpRequest) -> HttpResponse | None:
        """Queue the request. on_outcome() writes its response."""
        if self._telemetry is not None:
            self._telemetry.begin(request)
        meta = self._meta(request) if self._queue.needs_meta else b""
        if request.method == "GET":
            self._submit(QueuedRequest(request, frames.QUERY, meta, (request.query,), len(request.query)))
        else:
            self._submit(QueuedRequest(request, 0, meta, request.chunks, request.size))
        return None

    def infer(self, request: HttpRequest) -> HttpResponse | None:
        """Queue a request of the Open Inference Protocol. on_outcome() writes its response."""
        if self._telemetry is not None:
            self._telemetry.begin(request)
        meta = _aligned(self._meta(request), request.headers.get(INFERENCE_HEADER_LENGTH, b""))
        self._submit(QueuedRequest(request, frames.INFER, meta, request.chunks, request.size))
        return None

    def _submit(self, queued: QueuedRequest) -> None:
        queued.request.queued = queued
        queued.request.chunks = []
        if self._collector is not None:
            queued.body = queued.chunks
        self._queue.submit(queued)

    def abandon(self, request: HttpRequest) -> None:
        """Drop a request whose client has left, and record it with status 499."""
        queued = request.queued
        if queued is None:
            return
        self._queue.abandon(queued)
        if self._collector is not None:
            self._collector.abandon(queued, CLIENT_LEFT)
        seconds = time.monotonic() - queued.arrived_at
        self._metrics.requests[CLIENT_LEFT] += 1
        size = 0
        if queued.response is not None:
            size = queued.response.size
            self._metrics.count_stream("left", size)
        if self._telemetry is not None:
            self._telemetry.end(request, CLIENT_LEFT, seconds)
        if self._settings.access_log:
            self._log_access(request, CLIENT_LEFT, size, seconds)

    def on_outcome(self, queued: QueuedRequest, reply: Reply) -> None:
        """Write the response, and record it in metrics, traces and access log."""
        if queued.response is not None:
            self._end_stream(queued, queued.response, reply)
            return
        response = self._response(queued.request, reply)
        if queued.flags & frames.INFER:
            response = in_error_form(response)
        now = time.monotonic()
        if self._collector is not None:
            self._collector.add(queued, reply.outcome, response, now)
        if len(response.body) < MIN_PACKED_BYTES:
            self._record(queued, reply, response.status, len(response.body), now)
            queued.request.connection.respond(queued.request, response)
        else:
            respond = partial(self._respond_packed, queued, reply)
            self._packed_responses.pack(queued.request, response, respond)

    def _respond_packed(self, queued: QueuedRequest, reply: Reply, response: HttpResponse) -> None:
        self._record(queued, reply, response.status, len(response.body), time.monotonic())
        queued.request.connection.respond(queued.request, response)

    def on_stream(self, queued: QueuedRequest, reply: Reply) -> None:
        """Write the beginning of a streamed result, or a piece of it."""
        if queued.response is not None:
            if not queued.response.write(reply.body):
                self._queue.reject(queued)
        elif queued.stream is not None:
            head = _drivers_response(queued.request, reply)
            if head is None:
                self._queue.reject(queued)
                return
            length = _declared_length(reply)
            kept_bytes = 0 if self._collector is None else self._collector.body_bytes
            queued.response = ResponseStream(queued.request, head, length, queued.stream, kept_bytes)

    def _end_stream(self, queued: QueuedRequest, response: ResponseStream, reply: Reply) -> None:
        """Write the last chunk; after a failure end the connection without it, and count status 500."""
        request, status = queued.request, response.status
        if reply.outcome == frames.STREAM_ENDED and response.end():
            self._metrics.count_stream("complete", response.size)
        else:
            status = 500
            message = _STREAM_FAILURES.get(reply.outcome, "its size is not its content-length")
            extra = {"requestId": request.request_id}
            if reply.body:
                extra["exception"] = reply.body.decode()
            log.error("a streamed result is incomplete: %s", message, extra=extra)
            self._metrics.count_stream("failed", response.size)
            response.fail()
        if self._collector is not None:
            self._collector.add_stream(queued, response, status)
        self._record(queued, reply, status, response.size, time.monotonic())

    def _record(self, queued: QueuedRequest, reply: Reply, status: int, bytes_out: int, now: float) -> None:
        request = queued.request
        metrics, seconds = self._metrics, now - queued.arrived_at
        metrics.requests[status] += 1
        metrics.latency.observe(seconds)
        if reply.started_at:
            metrics.wait.observe(reply.started_at - queued.arrived_at)
            metrics.run_seconds += reply.seconds
        if self._telemetry is not None:
            self._telemetry.end(request, status, seconds)
        if self._settings.access_log:
            self._log_access(request, status, bytes_out, seconds)

    def _response(  # noqa: PLR0911 - one return per outcome
        self, request: HttpRequest, reply: Reply
    ) -> HttpResponse:
        outcome, log_fields = reply.outcome, {"requestId": request.request_id}
        if outcome == frames.RETURNED:
            if reply.meta:
                return _drivers_response(request, reply) or SCRIPT_ERROR
            milliseconds = reply.seconds * 1000
            lines = b"x-ms-run-function-failed: False\r\nx-ms-run-fn-exec-ms: %.3f\r\n" % milliseconds
            return HttpResponse(200, reply.body, header_lines=lines)
        if outcome == frames.REFUSED:
            refusal = errors.INPUT_INVALID.response(error=reply.body.decode())
            return replace(refusal, status=reply.status)
        if outcome == frames.RAISED:
            log.error("run() failed", extra={**log_fields, "exception": reply.body.decode()})
            return replace(SCRIPT_ERROR, status=reply.status)
        if outcome == TIMED_OUT:
            log.error("Scoring timeout after %d ms", self._settings.scoring_timeout_ms, extra=log_fields)
            return errors.TIMED_OUT.response(milliseconds=self._settings.scoring_timeout_ms)
        if outcome == CRASHED:
            log.error("the worker process ended during run()", extra=log_fields)
            return SCRIPT_ERROR
        if outcome == INVALID:
            return SCRIPT_ERROR
        if outcome == CUT_OFF:
            return errors.CUT_OFF.response()
        return self._overloaded

    @staticmethod
    def _meta(request: HttpRequest) -> bytes:
        """Return what the worker needs beside the body, as JSON."""
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in request.headers.items()}
        headers["x-request-id"] = request.request_id
        if request.span is not None:
            headers["traceparent"] = request.span.traceparent
        query = request.query.decode("latin-1")
        meta = {
            "method": request.method,
            "path": request.path,
            "query": query,
            "headers": headers,
            "client": request.connection.client_address,
        }
        return json.dumps(meta).encode()

    @staticmethod
    def _log_access(request: HttpRequest, status: int, bytes_out: int, seconds: float) -> None:
        extra = {
            "requestId": request.request_id,
            "status": status,
            "milliseconds": round(seconds * 1000, 3),
            "bytesIn": request.size,
            "bytesOut": bytes_out,
        }
        log.info("%s %s", request.method, request.path, extra=extra)


def _drivers_response(request: HttpRequest, reply: Reply) -> HttpResponse | None:
    """Return the response that run() built; None if its headers or status are not valid HTTP.

    The front's own lines win, such as the ids, so that no header is doubled. Vary is a list, and adds up.
    """
    log_fields = {"requestId": request.request_id}
    own_lines = request.response_lines.decode("latin-1").lower().split("\r\n")
    own_names = {line.partition(":")[0] for line in own_lines} - {"vary"}
    content_type, lines = b"application/octet-stream", b""
    for name, value in json.loads(reply.meta):
        if not _HEADER_NAME.fullmatch(name) or not _HEADER_VALUE.fullmatch(value):
            log.error("run() returned an invalid HTTP header: %r", name, extra=log_fields)
            return None
        low = name.lower()
        if low == "content-type":
            content_type = value.encode("latin-1")
        elif low not in _RESERVED_HEADERS and low not in own_names:
            lines += f"{name}: {value}\r\n".encode("latin-1")
    if not 200 <= reply.status <= 599:
        log.error("run() returned the invalid status %d", reply.status, extra=log_fields)
        return None
    lines += b"x-ms-run-fn-exec-ms: %.3f\r\n" % (reply.seconds * 1000)
    body = b"" if reply.status in BODILESS else reply.body
    return HttpResponse(reply.status, body, content_type, lines)


def _aligned(meta: bytes, header_length: bytes) -> bytes:
    """Return the JSON with blanks at its end, so that binary data is aligned in the worker's memory.

    The worker receives meta and body into one buffer. An array of aligned data needs no copy of it.
    """
    json_bytes = int(header_length) if header_length.isdigit() and len(header_length) < 20 else 0
    return meta + b" " * (-(len(meta) + json_bytes) % ALIGNMENT)


def _declared_length(reply: Reply) -> int | None:
    """Return the length of a stream that its headers declare, in bytes; None if there is none."""
    lengths = [value for name, value in json.loads(reply.meta) if name.lower() == "content-length"]
    return int(lengths[0]) if len(lengths) == 1 and lengths[0].isdecimal() else None
