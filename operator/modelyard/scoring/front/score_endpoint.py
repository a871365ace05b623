"""/score: who may call it, what goes to the workers, and what becomes of their replies."""

import json
import logging
import re
import time
from dataclasses import replace
from typing import Final

from modelyard.scoring import frames
from modelyard.scoring.front.keys import Keys
from modelyard.scoring.front.lifecycle import Lifecycle
from modelyard.scoring.front.messages import (
    RETRY_AFTER,
    Job,
    Request,
    Response,
    message,
    text,
)
from modelyard.scoring.front.metrics import Metrics
from modelyard.scoring.front.request_queue import (
    CRASHED,
    CUT,
    TIMED_OUT,
    Dispatcher,
)
from modelyard.scoring.front.telemetry import Telemetry
from modelyard.scoring.pool.process import Reply
from modelyard.scoring.settings import RuntimeSettings

log = logging.getLogger(__name__)

CLIENT_LEFT: Final = 499
"""What metrics, traces and access log call a request whose client left before its answer (nginx's number)."""

RUN_FAILED: Final = b"x-ms-run-function-failed: True\r\n"
SCRIPT_ERROR: Final = "An unexpected error occurred in scoring script. Check the logs for more info."
UNAUTHORISED: Final = message(
    401,
    "Send Authorization: Bearer <primary or secondary key>",
    b'www-authenticate: Bearer realm="scoring"\r\n',
)
NOT_STARTED: Final = message(503, "The driver's init() has not finished yet.", RETRY_AFTER)

_OWN_HEADERS: Final = {"content-length", "connection", "transfer-encoding", "date", "keep-alive"}
"""A driver's response does not decide these."""

_NAME: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_VALUE: Final = re.compile(r"[\t\x20-\x7e\x80-\xff]*")


class ScoreEndpoint:
    """The handlers of /score."""

    def __init__(
        self,
        settings: RuntimeSettings,
        lifecycle: Lifecycle,
        keys: Keys,
        dispatcher: Dispatcher,
        metrics: Metrics,
        telemetry: Telemetry | None,
    ) -> None:
        self._settings = settings
        self._lifecycle = lifecycle
        self._keys = keys
        self._dispatcher = dispatcher
        self._metrics = metrics
        self._telemetry = telemetry
        waited_ms = settings.queue_timeout_seconds * 1000
        places = settings.max_concurrent_requests
        words = f"Overloaded: no free place (of {places}) within {waited_ms:.0f} ms. Try again later."
        self.overloaded = message(503, words, RETRY_AFTER)
        self.full = replace(self.overloaded, paces=True)

    def admit(self, request: Request) -> Response | None:
        """What can be refused before the body is read, so that a refusal is cheap."""
        self._lifecycle.scoring_came()
        if not self._keys.accepts(request.headers.get(b"authorization")):
            refusal = UNAUTHORISED
        elif not self._lifecycle.started:
            refusal = NOT_STARTED
        elif self._dispatcher.full:
            refusal = self.full
        else:
            return None
        self.refused(request, refusal)
        return refusal

    def refused(self, request: Request, refusal: Response) -> None:
        """Counts and logs what is answered without its body, which may still come."""
        self._metrics.requests[refusal.status] += 1
        if self._settings.access_log:
            self._log_access(request, refusal.status, len(refusal.body), 0.0)

    def options(self, _: Request) -> Response:
        return text(200, "")

    def score(self, request: Request) -> Response | None:
        """The answer comes by done()."""
        if self._telemetry is not None:
            self._telemetry.begin(request)
        meta = self._meta(request) if self._dispatcher.wants_meta else b""
        if request.method == "GET":
            job = Job(request, frames.QUERY, meta, (request.query,), len(request.query))
        else:
            job = Job(request, 0, meta, request.chunks, request.size)
        request.job = job
        request.chunks = []
        self._dispatcher.submit(job)
        return None

    def abandoned(self, request: Request) -> None:
        job = request.job
        if job is None:
            return
        self._dispatcher.abandon(job)
        seconds = time.monotonic() - job.arrived
        self._metrics.requests[CLIENT_LEFT] += 1
        if self._telemetry is not None:
            self._telemetry.end(request, CLIENT_LEFT, seconds)
        if self._settings.access_log:
            self._log_access(request, CLIENT_LEFT, 0, seconds)

    def done(self, job: Job, reply: Reply) -> None:
        """Called by the dispatcher with the outcome."""
        request = job.request
        response = self._response(request, reply)
        metrics, now = self._metrics, time.monotonic()
        metrics.requests[response.status] += 1
        metrics.latency.observe(now - job.arrived)
        if reply.started:
            metrics.wait.observe(reply.started - job.arrived)
            metrics.run_seconds += reply.seconds
        if self._telemetry is not None:
            self._telemetry.end(request, response.status, now - job.arrived)
        if self._settings.access_log:
            self._log_access(request, response.status, len(response.body), now - job.arrived)
        request.connection.respond(request, response)

    def _response(self, request: Request, reply: Reply) -> Response:  # noqa: PLR0911 - one an outcome
        outcome, known = reply.outcome, {"requestId": request.request_id}
        if outcome == frames.RETURNED:
            if reply.meta:
                return _of_driver(reply, known)
            lines = b"x-ms-run-function-failed: False\r\nx-ms-run-fn-exec-ms: %.3f\r\n" % (
                reply.seconds * 1000
            )
            return Response(200, reply.body, lines=lines)
        if outcome == frames.REFUSED:
            return message(reply.status, reply.body.decode())
        if outcome == frames.RAISED:
            log.error("run() failed", extra={**known, "exception": reply.body.decode()})
            return message(500, SCRIPT_ERROR, RUN_FAILED)
        if outcome == TIMED_OUT:
            words = f"Scoring timeout after {self._settings.scoring_timeout_ms} ms"
            log.error(words, extra=known)
            return message(500, words, RUN_FAILED)
        if outcome == CRASHED:
            log.error("the worker process ended within run()", extra=known)
            return message(500, SCRIPT_ERROR, RUN_FAILED)
        if outcome == CUT:
            return message(503, "Shutting down: the time for draining is over.", RETRY_AFTER)
        return self.overloaded

    @staticmethod
    def _meta(request: Request) -> bytes:
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in request.headers.items()}
        headers["x-request-id"] = request.request_id
        query = request.query.decode("latin-1")
        meta = {"method": request.method, "path": request.path, "query": query, "headers": headers}
        return json.dumps(meta).encode()

    @staticmethod
    def _log_access(request: Request, status: int, bytes_out: int, seconds: float) -> None:
        extra = {
            "requestId": request.request_id,
            "status": status,
            "milliseconds": round(seconds * 1000, 3),
            "bytesIn": request.size,
            "bytesOut": bytes_out,
        }
        log.info("%s %s", request.method, request.path, extra=extra)


def _of_driver(reply: Reply, known: dict[str, str]) -> Response:
    """A response that run() made itself. One that is no HTTP is the driver's error."""
    content_type, lines = b"application/octet-stream", b""
    for name, value in json.loads(reply.meta):
        if not _NAME.fullmatch(name) or not _VALUE.fullmatch(value):
            log.error("run() returned a header that is no HTTP: %r", name, extra=known)
            return message(500, SCRIPT_ERROR, RUN_FAILED)
        if name.lower() == "content-type":
            content_type = value.encode("latin-1")
        elif name.lower() not in _OWN_HEADERS:
            lines += f"{name}: {value}\r\n".encode("latin-1")
    if not 200 <= reply.status <= 599:
        log.error("run() returned the status %d", reply.status, extra=known)
        return message(500, SCRIPT_ERROR, RUN_FAILED)
    lines += b"x-ms-run-fn-exec-ms: %.3f\r\n" % (reply.seconds * 1000)
    body = b"" if reply.status in (204, 304) else reply.body  # RFC 9110: these have none
    return Response(reply.status, body, content_type, lines)
