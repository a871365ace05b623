"""Traces: one span a scoring request, in W3C trace context, sent as OTLP over HTTP or to Azure Monitor.

Own code: OpenTelemetry's SDK with its exporter brings 16 packages into every image (docs/scoring.md).
What is sent is OTLP's JSON form, which every collector takes, and Application Insights' track call. The
environment is OpenTelemetry's.
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
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import unquote

if TYPE_CHECKING:
    from modelyard.scoring.front.messages import Request

log = logging.getLogger(__name__)

BATCH: Final = 256
BATCH_SECONDS: Final = 1.0
MAX_UNSENT: Final = 4096
"""Spans that wait for the exporter; more are lost, scoring never waits."""
SEND_SECONDS: Final = 10.0

_SPAN_KIND_SERVER: Final = 2
_STATUS_ERROR: Final = 2


@dataclass(slots=True)
class Span:
    """One scoring request."""

    trace_id: str
    span_id: str
    parent_id: str
    started: float
    request_id: str
    method: str
    status: int = 0
    seconds: float = 0.0


class Exporter:
    """Where batches of spans go, and in what form."""

    def __init__(self, url: str, headers: Mapping[str, str]) -> None:
        self.url = url
        self.headers = {"content-type": "application/json", **headers}

    def body(self, spans: list[Span]) -> bytes:
        raise NotImplementedError


class Otlp(Exporter):
    """OTLP over HTTP, JSON form."""

    def __init__(self, url: str, headers: Mapping[str, str], resource: Mapping[str, str]) -> None:
        super().__init__(url, headers)
        self._resource = _attributes(resource)

    def body(self, spans: list[Span]) -> bytes:
        scope = {"scope": {"name": "modelyard.scoring"}, "spans": [_otlp_span(span) for span in spans]}
        resource = {"resource": {"attributes": self._resource}, "scopeSpans": [scope]}
        return json.dumps({"resourceSpans": [resource]}).encode()


class AzureMonitor(Exporter):
    """Application Insights' ingestion, named by a connection string."""

    def __init__(self, connection_string: str, service: str) -> None:
        """Raises KeyError when the string has no InstrumentationKey."""
        parts = dict(part.split("=", 1) for part in connection_string.split(";") if "=" in part)
        endpoint = parts.get("IngestionEndpoint", "https://dc.services.visualstudio.com").rstrip("/")
        super().__init__(f"{endpoint}/v2.1/track", {})
        self._key = parts["InstrumentationKey"]
        self._service = service

    def body(self, spans: list[Span]) -> bytes:
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
            "time": datetime.fromtimestamp(span.started, UTC).isoformat(),
            "iKey": self._key,
            "tags": tags,
            "data": {"baseType": "RequestData", "baseData": data},
        }


class Telemetry:
    """Follows requests, and sends what it saw from a thread of its own."""

    def __init__(self, exporters: list[Exporter], ratio: float) -> None:
        self._exporters = exporters
        self._ratio = ratio
        self._spans: dict[int, Span] = {}
        self._unsent: queue.Queue[Span | None] = queue.Queue(MAX_UNSENT)
        self._thread = threading.Thread(target=self._send, name="telemetry", daemon=True)
        self._thread.start()

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> Telemetry | None:
        """None, with a word in the log, when no place to send to is named."""
        service = environment.get("OTEL_SERVICE_NAME") or environment.get("SERVICE_NAME") or "scoring"
        exporters: list[Exporter] = []
        base = environment.get("OTEL_EXPORTER_OTLP_ENDPOINT", "").rstrip("/")
        url = environment.get("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT") or (base and f"{base}/v1/traces")
        if url:
            headers = _pairs(environment.get("OTEL_EXPORTER_OTLP_HEADERS", ""))
            resource = {**_pairs(environment.get("OTEL_RESOURCE_ATTRIBUTES", "")), "service.name": service}
            exporters.append(Otlp(url, headers, resource))
        connection_string = environment.get("APPLICATIONINSIGHTS_CONNECTION_STRING")
        if connection_string:
            try:
                exporters.append(AzureMonitor(connection_string, service))
            except KeyError as error:
                log.error(  # noqa: TRY400 - the traceback says no more
                    "APPLICATIONINSIGHTS_CONNECTION_STRING has no %s", error
                )
        if not exporters:
            log.warning("traces are on, but no endpoint is named: nothing is sent")
            return None
        ratio = 1.0
        if environment.get("OTEL_TRACES_SAMPLER", "").endswith("traceidratio"):
            ratio = float(environment.get("OTEL_TRACES_SAMPLER_ARG") or 1.0)
        return cls(exporters, ratio)

    def begin(self, request: Request) -> None:
        """Begins a span, and makes it the parent that the driver sees in its request_headers."""
        trace_id, parent_id, sampled = _context(request.headers.get(b"traceparent", b""))
        if not trace_id:
            trace_id, sampled = os.urandom(16).hex(), random.random() < self._ratio  # noqa: S311
        if not sampled:
            return
        span_id = os.urandom(8).hex()
        request.headers[b"traceparent"] = f"00-{trace_id}-{span_id}-01".encode()
        self._spans[id(request)] = Span(
            trace_id, span_id, parent_id, time.time(), request.request_id, request.method
        )

    def end(self, request: Request, status: int, seconds: float) -> None:
        span = self._spans.pop(id(request), None)
        if span is None:
            return
        span.status, span.seconds = status, seconds
        if not self._unsent.full():
            self._unsent.put_nowait(span)

    def close(self) -> None:
        """Sends what is left, for a moment at most."""
        if not self._unsent.full():
            self._unsent.put_nowait(None)
            self._thread.join(BATCH_SECONDS)

    def _send(self) -> None:
        from urllib.error import URLError  # noqa: PLC0415 - 4 MB and 30 ms only for those who send
        from urllib.request import Request as Post  # noqa: PLC0415
        from urllib.request import urlopen  # noqa: PLC0415

        ended = False
        while not ended:
            spans = self._batch()
            ended = None in spans
            seen = [span for span in spans if span is not None]
            for exporter in self._exporters if seen else ():
                post = Post(exporter.url, exporter.body(seen), exporter.headers)  # noqa: S310 - as configured
                try:
                    with urlopen(post, timeout=SEND_SECONDS) as answer:  # noqa: S310
                        answer.read()
                except (URLError, OSError, ValueError) as error:
                    log.warning("%d spans could not be sent: %s", len(seen), error)

    def _batch(self) -> list[Span | None]:
        spans: list[Span | None] = [self._unsent.get()]
        until = time.monotonic() + BATCH_SECONDS
        while len(spans) < BATCH and spans[-1] is not None:
            try:
                spans.append(self._unsent.get(timeout=max(0.0, until - time.monotonic())))
            except queue.Empty:
                break
        return spans


def _duration(seconds: float) -> str:
    """As .NET writes a time span: days.hh:mm:ss.ffffff."""
    minutes, seconds = divmod(seconds, 60)
    hours, minutes = divmod(int(minutes), 60)
    days, hours = divmod(hours, 24)
    return f"{days:02}.{hours:02}:{minutes:02}:{seconds:09.6f}"


def _context(traceparent: bytes) -> tuple[str, str, bool]:
    """Trace id, span id and whether it is sampled (W3C Trace Context); empty when there is none."""
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
    written = {
        "traceId": span.trace_id,
        "spanId": span.span_id,
        "name": f"{span.method} /score",
        "kind": _SPAN_KIND_SERVER,
        "startTimeUnixNano": str(int(span.started * 1e9)),
        "endTimeUnixNano": str(int((span.started + span.seconds) * 1e9)),
        "attributes": _attributes(attributes),
        "status": {"code": _STATUS_ERROR} if span.status >= 500 else {},
    }
    return written | ({"parentSpanId": span.parent_id} if span.parent_id else {})


def _attributes(values: Mapping[str, Any]) -> list[dict[str, Any]]:
    return [
        {"key": name, "value": {"intValue": str(value)} if isinstance(value, int) else {"stringValue": value}}
        for name, value in values.items()
    ]


def _pairs(text: str) -> dict[str, str]:
    """`a=1,b=2`, percent-encoded, as OpenTelemetry's variables have it."""
    pairs = (part.split("=", 1) for part in text.split(",") if "=" in part)
    return {name.strip(): unquote(value.strip()) for name, value in pairs}
