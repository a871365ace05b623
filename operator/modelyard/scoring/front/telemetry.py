"""Traces: one span per scoring request, in W3C trace context, sent as OTLP over HTTP or to Azure Monitor.

Own code: OpenTelemetry's SDK with its exporter brings 16 packages into every image (docs/scoring.md). The
formats are OTLP's JSON form, which every collector accepts, and the track call of Application Insights. The
environment variables are OpenTelemetry's.
"""

from __future__ import annotations

import json
import logging
import os
import queue
import random
import threading
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final
from urllib.parse import unquote

from modelyard.scoring.contract import Variable
from modelyard.scoring.front.messages import HttpRequest
from modelyard.scoring.front.span import Span

log = logging.getLogger(__name__)

MAX_BATCH: Final = 256
"""Spans per export."""
BATCH_SECONDS: Final = 1.0
"""How long a span waits for others before it is exported."""
MAX_UNSENT: Final = 4096
"""Spans that wait for the exporter; more are dropped, so that scoring never waits."""
SEND_SECONDS: Final = 10.0
"""Timeout of one export."""

_SPAN_KIND_SERVER: Final = 2
_STATUS_ERROR: Final = 2


class Exporter:
    """The destination of spans, and their format."""

    def __init__(self, url: str, headers: Mapping[str, str]) -> None:
        self.url = url
        self.headers = {"content-type": "application/json", **headers}

    def body(self, spans: list[Span]) -> bytes:
        """Return the body of the POST request that exports the spans."""
        raise NotImplementedError


class Otlp(Exporter):
    """OTLP over HTTP, JSON form."""

    def __init__(self, url: str, headers: Mapping[str, str], resource: Mapping[str, str]) -> None:
        super().__init__(url, headers)
        self._resource = _attributes(resource)

    def body(self, spans: list[Span]) -> bytes:
        """Return an ExportTraceServiceRequest as JSON."""
        scope = {"scope": {"name": "modelyard.scoring"}, "spans": [_otlp_span(span) for span in spans]}
        resource = {"resource": {"attributes": self._resource}, "scopeSpans": [scope]}
        return json.dumps({"resourceSpans": [resource]}).encode()


class AzureMonitor(Exporter):
    """The ingestion endpoint of Application Insights, from a connection string.

    Raises KeyError if the string has no InstrumentationKey.
    """

    def __init__(self, connection_string: str, service: str) -> None:
        parts = dict(part.split("=", 1) for part in connection_string.split(";") if "=" in part)
        endpoint = parts.get("IngestionEndpoint", "https://dc.services.visualstudio.com").rstrip("/")
        super().__init__(f"{endpoint}/v2.1/track", {})
        self._key = parts["InstrumentationKey"]
        self._service = service

    def body(self, spans: list[Span]) -> bytes:
        """Return one Application Insights envelope per span, as JSON."""
        return json.dumps([self._envelope(span) for span in spans]).encode()

    def _envelope(self, span: Span) -> dict[str, Any]:
        tags = {"ai.operation.id": span.trace_id, "ai.cloud.role": self._service}
        if span.parent_id:
            tags["ai.operation.parentId"] = span.parent_id
        data = {
            "ver": 2,
            "id": span.span_id,
            "name": f"{span.method} /score",
            "duration": _duration(span.seconds),
            "responseCode": str(span.status),
            "success": span.status < 500,
            "properties": {"requestId": span.request_id},
        }
        return {
            "name": "Microsoft.ApplicationInsights.Request",
            "time": datetime.fromtimestamp(span.started_at, UTC).isoformat(),
            "iKey": self._key,
            "tags": tags,
            "data": {"baseType": "RequestData", "baseData": data},
        }


class Telemetry:
    """Makes a span for each scoring request, and exports spans from a thread of its own."""

    def __init__(self, exporters: list[Exporter], ratio: float) -> None:
        self._exporters = exporters
        self._ratio = ratio
        self._unsent: queue.Queue[Span | None] = queue.Queue(MAX_UNSENT)
        self._thread = threading.Thread(target=self._export_loop, name="telemetry", daemon=True)
        self._thread.start()

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> Telemetry | None:
        """Read the environment. Return None, with a warning in the log, if no endpoint is set."""
        service = environment.get(Variable.SERVICE_NAME) or environment.get(Variable.MODEL_NAME) or "scoring"
        exporters: list[Exporter] = []
        base = environment.get(Variable.OTLP_ENDPOINT, "").rstrip("/")
        url = environment.get(Variable.OTLP_TRACES_ENDPOINT) or (base and f"{base}/v1/traces")
        if url:
            headers = _pairs(environment.get(Variable.OTLP_HEADERS, ""))
            resource = {**_pairs(environment.get(Variable.RESOURCE_ATTRIBUTES, "")), "service.name": service}
            exporters.append(Otlp(url, headers, resource))
        connection_string = environment.get(Variable.CONNECTION_STRING)
        if connection_string:
            try:
                exporters.append(AzureMonitor(connection_string, service))
            except KeyError as error:
                log.error(  # noqa: TRY400 - the traceback says no more
                    "%s has no %s", Variable.CONNECTION_STRING, error
                )
        if not exporters:
            log.warning("traces are on, but no endpoint is set: no trace is sent")
            return None
        ratio = 1.0
        if environment.get(Variable.SAMPLER, "").endswith("traceidratio"):
            ratio = float(environment.get(Variable.SAMPLER_ARGUMENT) or 1.0)
        return cls(exporters, ratio)

    def begin(self, request: HttpRequest) -> None:
        """Begin the request's span, unless the request is not sampled."""
        trace_id, parent_id, sampled = parse_traceparent(request.headers.get(b"traceparent", b""))
        if not trace_id:
            trace_id, sampled = os.urandom(16).hex(), random.random() < self._ratio  # noqa: S311
        if sampled:
            span_id = os.urandom(8).hex()
            request.span = Span(trace_id, span_id, parent_id, time.time(), request.request_id, request.method)

    def end(self, request: HttpRequest, status: int, seconds: float) -> None:
        """End the request's span and queue it for export."""
        span, request.span = request.span, None
        if span is None:
            return
        span.status, span.seconds = status, seconds
        if not self._unsent.full():
            self._unsent.put_nowait(span)

    def close(self) -> None:
        """Export the remaining spans, for BATCH_SECONDS at most."""
        if not self._unsent.full():
            self._unsent.put_nowait(None)
            self._thread.join(BATCH_SECONDS)

    def _export_loop(self) -> None:
        """Export batches of spans until None is queued."""
        from urllib.error import URLError  # noqa: PLC0415 - 4 MB and 30 ms, only if traces are on
        from urllib.request import Request as PostRequest  # noqa: PLC0415
        from urllib.request import urlopen  # noqa: PLC0415

        closed = False
        while not closed:
            batch = self._batch()
            closed = None in batch
            spans = [span for span in batch if span is not None]
            for exporter in self._exporters if spans else ():
                post = PostRequest(  # noqa: S310 - the configured URL
                    exporter.url, exporter.body(spans), exporter.headers
                )
                try:
                    with urlopen(post, timeout=SEND_SECONDS) as response:  # noqa: S310
                        response.read()
                except (URLError, OSError, ValueError) as error:
                    log.warning("%d spans could not be sent: %s", len(spans), error)

    def _batch(self) -> list[Span | None]:
        spans: list[Span | None] = [self._unsent.get()]
        until = time.monotonic() + BATCH_SECONDS
        while len(spans) < MAX_BATCH and spans[-1] is not None:
            try:
                spans.append(self._unsent.get(timeout=max(0.0, until - time.monotonic())))
            except queue.Empty:
                break
        return spans


def _duration(seconds: float) -> str:
    """Return the time as .NET writes a TimeSpan: days.hh:mm:ss.ffffff."""
    minutes, seconds = divmod(seconds, 60)
    hours, minutes = divmod(int(minutes), 60)
    days, hours = divmod(hours, 24)
    return f"{days:02}.{hours:02}:{minutes:02}:{seconds:09.6f}"


def parse_traceparent(traceparent: bytes) -> tuple[str, str, bool]:
    """Return trace id, parent span id and sampled flag (W3C Trace Context); empty ids if it is invalid."""
    parts = traceparent.decode("latin-1").strip().split("-")
    if len(parts) < 4 or [len(part) for part in parts[:4]] != [2, 32, 16, 2] or parts[0] == "ff":
        return "", "", False
    version, trace_id, span_id, flags = parts[:4]
    if not set(version + trace_id + span_id + flags) <= set("0123456789abcdef"):
        return "", "", False
    if not trace_id.strip("0") or not span_id.strip("0") or (version == "00" and len(parts) > 4):
        return "", "", False
    return trace_id, span_id, bool(int(flags, 16) & 1)


def _otlp_span(span: Span) -> dict[str, Any]:
    attributes = {
        "http.request.method": span.method,
        "url.path": "/score",
        "http.response.status_code": span.status,
        "request.id": span.request_id,
    }
    fields = {
        "traceId": span.trace_id,
        "spanId": span.span_id,
        "name": f"{span.method} /score",
        "kind": _SPAN_KIND_SERVER,
        "startTimeUnixNano": str(int(span.started_at * 1e9)),
        "endTimeUnixNano": str(int((span.started_at + span.seconds) * 1e9)),
        "attributes": _attributes(attributes),
        "status": {"code": _STATUS_ERROR} if span.status >= 500 else {},
    }
    return fields | ({"parentSpanId": span.parent_id} if span.parent_id else {})


def _attributes(values: Mapping[str, Any]) -> list[dict[str, Any]]:
    return [
        {"key": name, "value": {"intValue": str(value)} if isinstance(value, int) else {"stringValue": value}}
        for name, value in values.items()
    ]


def _pairs(text: str) -> dict[str, str]:
    """Parse `a=1,b=2` with percent-encoded values, the form of OpenTelemetry's variables."""
    pairs = (part.split("=", 1) for part in text.split(",") if "=" in part)
    return {name.strip(): unquote(value.strip()) for name, value in pairs}
