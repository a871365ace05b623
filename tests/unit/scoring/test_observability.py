"""Metrics, log lines, traces, the docs page and CORS of a running server."""

import contextlib
import json
import re
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from tests.unit.scoring.conftest import GATED_DRIVER, Gates
from tests.unit.scoring.scoring_process import ScoringProcess, metric, read_response, send_request, until

DRIVER = """
def init(): pass
def run(data, request_headers):
    if data == "raise":
        raise ValueError("no")
    return request_headers.get("Traceparent")
"""

TRACE = "0af7651916cd43dd8448eb211c80319c"
PARENT = "b7ad6b7169203331"


def test_metrics_count_requests_and_run_time(serve) -> None:
    scoring = serve(DRIVER)
    for body in (b"x", b"x", b"raise"):
        scoring.score(body)
    scoring.request("GET", "/")

    assert metric(scoring, 'modelyard_scoring_requests_total{code="200"}') == 2
    assert metric(scoring, 'modelyard_scoring_requests_total{code="500"}') == 1
    assert metric(scoring, "modelyard_scoring_request_seconds_count") == 3
    assert metric(scoring, 'modelyard_scoring_request_seconds_bucket{le="+Inf"}') == 3
    assert metric(scoring, "modelyard_scoring_wait_seconds_count") == 3
    assert metric(scoring, "modelyard_scoring_run_seconds_total") > 0
    assert metric(scoring, "modelyard_scoring_busy") == 0
    assert metric(scoring, "modelyard_scoring_ready") == 1


def test_gauges_follow_running_and_waiting_requests(serve, gates: Gates) -> None:
    scoring = serve(GATED_DRIVER, MODELYARD_MAX_CONCURRENT_REQUESTS="2", MODELYARD_QUEUE_TIMEOUT_MS="60000")

    def gauges() -> list[float]:
        names = ("running", "busy", "waiting", "concurrency")
        return [metric(scoring, f"modelyard_scoring_{name}") for name in names]

    assert gauges() == [0, 0, 0, 2]
    with contextlib.ExitStack() as stack:
        connections = [stack.enter_context(scoring.connection()) for _ in range(5)]
        send_request(connections[0], "POST", "/score", b"one")
        gates.wait_begun("one")
        assert gauges() == [1, 0.5, 0, 2]
        send_request(connections[1], "POST", "/score", b"two")
        gates.wait_begun("two")
        assert gauges() == [2, 1, 0, 2]
        for connection in connections[2:]:  # one of them is at the worker ahead of its turn
            send_request(connection, "POST", "/score", b"")
        until(lambda: gauges() == [2, 1, 3, 2], "three waiting requests")
        gates.open("one")
        gates.open("two")
        assert [read_response(connection).status for connection in connections] == [200] * 5
    assert gauges() == [0, 0, 0, 2]


def test_load_has_running_waiting_and_accepted_requests(serve, gates: Gates) -> None:
    scoring = serve(GATED_DRIVER, MODELYARD_MAX_CONCURRENT_REQUESTS="2", MODELYARD_QUEUE_TIMEOUT_MS="60000")

    def load() -> dict[str, Any]:
        return json.loads(scoring.request("GET", "/load").body)

    def waits_for(requests: int) -> bool:
        return load()["requests"] == requests

    assert load() == {"running": 0, "waiting": 0, "places": 2, "requests": 0, "ready": True}
    with contextlib.ExitStack() as stack:
        connections = [stack.enter_context(scoring.connection()) for _ in range(4)]
        for name, connection in zip(("one", "two"), connections[:2], strict=True):
            send_request(connection, "POST", "/score", name.encode())
            gates.wait_begun(name)
        for connection in connections[2:]:
            send_request(connection, "POST", "/score", b"")
        until(lambda: waits_for(4), "four accepted requests")
        assert load() == {"running": 2, "waiting": 2, "places": 2, "requests": 4, "ready": True}
        gates.open("one")
        gates.open("two")
        assert [read_response(connection).status for connection in connections] == [200] * 4
    assert load() == {"running": 0, "waiting": 0, "places": 2, "requests": 4, "ready": True}


def test_docs_explain_every_metric(serve) -> None:
    scoring = serve(DRIVER)
    exposed = re.findall(
        r"^# TYPE (\S+) (\S+)$", scoring.request("GET", "/metrics").body.decode(), re.MULTILINE
    )
    docs = (Path(__file__).parents[3] / "docs" / "scoring.md").read_text(encoding="utf-8")

    assert re.findall(r"^\| `(modelyard_scoring_\w+)` \| (\w+) \|", docs, re.MULTILINE) == exposed


def access_line(scoring: ScoringProcess, request_id: str) -> dict[str, Any]:
    def lines() -> list[dict[str, Any]]:
        return [line for line in scoring.log_lines() if line.get("requestId") == request_id]

    (line,) = until(lines, "the access line")
    return line


def test_access_log_has_a_line_for_a_request(serve) -> None:
    scoring = serve(DRIVER, MODELYARD_ACCESS_LOG="true")
    scoring.score(b"x", {"x-request-id": "find-me"})

    line = access_line(scoring, "find-me")
    assert (line["message"], line["status"], line["bytesIn"]) == ("POST /score", 200, 1)


LOGGING = """
import logging


def init(): ...


def run(data):
    logging.getLogger("driver").debug("debug line")
    logging.getLogger("azmlinfsrv").info("info line")
    logging.getLogger("driver").error("error line")
"""


@pytest.mark.parametrize(
    ("level", "lines"),
    [
        ("DEBUG", {"debug", "info", "error", "init()"}),
        ("INFO", {"info", "error", "init()"}),
        ("ERROR", {"error"}),
    ],
)
def test_level_applies_to_the_runtime_and_to_the_driver(serve, level: str, lines: set[str]) -> None:
    scoring = serve(LOGGING, MODELYARD_LOG_LEVEL=level)
    scoring.score(b"x", {"x-request-id": "find-me"})
    until(lambda: "error line" in scoring.log, "the driver's line")
    words = {"debug": "debug line", "info": "info line", "error": "error line", "init()": "init() took"}
    assert {word for word, text in words.items() if text in scoring.log} == lines
    if level == "DEBUG":
        assert access_line(scoring, "find-me")["message"] == "POST /score"


@pytest.mark.parametrize(
    ("key", "declared", "status"), [("none", 1, 401), ("key", 100, 413), ("key", 60, 503)]
)
def test_request_refused_before_its_body_is_in_log_and_metrics(
    serve, tmp_path: Path, key: str, declared: int, status: int
) -> None:
    (tmp_path / "primaryKey").write_text("key")
    limits = {"MODELYARD_MAX_BODY_BYTES": "80", "MODELYARD_MAX_HELD_BYTES": "80"}
    scoring = serve(DRIVER, MODELYARD_ACCESS_LOG="true", MODELYARD_KEYS_DIR=str(tmp_path), **limits)
    with scoring.connection() as holding:
        head = "POST /score HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer key\r\nContent-Length: 60\r\n\r\n"
        holding.sendall(head.encode() + b"x" * 59)
        scoring.request("GET", "/")

        response = scoring.score(
            b"x" * declared, {"authorization": f"Bearer {key}", "x-request-id": "find-me"}
        )

    line = access_line(scoring, "find-me")
    assert response.status == status
    assert (line["message"], line["status"], line["bytesOut"]) == ("POST /score", status, len(response.body))
    assert metric(scoring, f'modelyard_scoring_requests_total{{code="{status}"}}') == 1


def test_other_paths_are_not_counted_as_scoring(serve) -> None:
    scoring = serve(DRIVER, MODELYARD_ACCESS_LOG="true", MODELYARD_MAX_BODY_BYTES="80")

    assert scoring.request("GET", "/", b"x" * 70_000, {"x-request-id": "find-me"}).status == 413

    assert metric(scoring, 'modelyard_scoring_requests_total{code="413"}') == 0
    assert "find-me" not in scoring.log


def test_docs_page_refers_to_no_other_host(serve) -> None:
    page = serve(DRIVER).request("GET", "/docs")

    assert page.headers["content-type"] == "text/html; charset=utf-8"
    assert b"://" not in page.body
    assert b" src=" not in page.body


class Collector:
    """An HTTP server that records posted JSON."""

    def __init__(self) -> None:
        self.posted: list[tuple[str, dict[str, str], Any]] = []
        collector = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                collector.posted.append((self.path, dict(self.headers), json.loads(body)))
                self.send_response(200)
                self.send_header("content-length", "0")
                self.end_headers()

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture
def collector() -> Iterator[Collector]:
    one = Collector()
    yield one
    one.close()


def test_trace_continues_from_client_to_driver_and_collector(serve, collector: Collector) -> None:
    scoring = serve(
        DRIVER,
        AML_APP_INSIGHTS_ENABLED="true",
        OTEL_EXPORTER_OTLP_ENDPOINT=collector.url,
        OTEL_EXPORTER_OTLP_HEADERS="x-token=a%20b",
        OTEL_SERVICE_NAME="diabetes",
    )

    drivers_parent = scoring.score(b"x", {"traceparent": f"00-{TRACE}-{PARENT}-01"}).json()

    path, headers, body = until(lambda: collector.posted, "the spans")[0]
    assert (path, {name.lower(): value for name, value in headers.items()}["x-token"]) == (
        "/v1/traces",
        "a b",
    )
    resource = body["resourceSpans"][0]
    assert {"key": "service.name", "value": {"stringValue": "diabetes"}} in resource["resource"]["attributes"]
    span = resource["scopeSpans"][0]["spans"][0]
    assert (span["traceId"], span["parentSpanId"], span["name"]) == (TRACE, PARENT, "POST /score")
    assert drivers_parent == f"00-{TRACE}-{span['spanId']}-01"


def test_unsampled_trace_is_passed_on_and_not_exported(serve, collector: Collector) -> None:
    scoring = serve(DRIVER, AML_APP_INSIGHTS_ENABLED="true", OTEL_EXPORTER_OTLP_ENDPOINT=collector.url)
    not_sampled = f"00-{TRACE}-{PARENT}-00"

    assert scoring.score(b"x", {"traceparent": not_sampled}).json() == not_sampled
    scoring.terminate()
    assert scoring.exit_code() == 0
    assert collector.posted == []


def test_azure_monitor_receives_a_failed_request(serve, collector: Collector) -> None:
    key = "00000000-0000-0000-0000-000000000001"
    scoring = serve(
        DRIVER,
        AML_APP_INSIGHTS_ENABLED="true",
        APPLICATIONINSIGHTS_CONNECTION_STRING=f"InstrumentationKey={key};IngestionEndpoint={collector.url}/",
    )
    scoring.score(b"raise", {"x-request-id": "one"})

    path, _, body = until(lambda: collector.posted, "the request")[0]
    data = body[0]["data"]["baseData"]
    assert (path, body[0]["iKey"]) == ("/v2.1/track", key)
    assert (data["responseCode"], data["success"], data["properties"]) == ("500", False, {"requestId": "one"})


def test_traces_without_an_endpoint_log_a_warning(serve) -> None:
    scoring = serve(DRIVER, AML_APP_INSIGHTS_ENABLED="true")

    assert scoring.score(b"x").status == 200
    assert "no endpoint is set" in scoring.log


def test_preflight_from_an_allowed_origin_gets_cors_headers(serve) -> None:
    scoring = serve(DRIVER, AML_CORS_ORIGINS="https://a.example")
    preflight = {"Origin": "https://a.example", "Access-Control-Request-Method": "POST",
             "Access-Control-Request-Headers": "authorization"}  # fmt: skip

    response = scoring.request("OPTIONS", "/score", None, preflight)

    assert response.headers["access-control-allow-origin"] == "https://a.example"
    assert response.headers["access-control-allow-methods"] == "GET, POST, OPTIONS"
    assert response.headers["access-control-allow-headers"] == "authorization"
