"""The pages of the side-car."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Iterator
from dataclasses import replace

import httpx
import pytest

from modelyard.collection.http_server import HttpServer
from modelyard.collection.report import Report, metrics_page, state_page
from modelyard.collection.status import SinkState
from modelyard.collection.tally import Totals

STORAGE = SinkState(totals=Totals(rows=5, size=900, answered=8, dropped={"spool_full": 3}), backlog_bytes=40)
HUB = SinkState(
    totals=Totals(rows=4, answered=8, dropped={"spool_full": 3, "too_large": 1}), oldest_seconds=9
)
REPORT = Report({"storage": STORAGE, "eventHub": HUB}, False, False, False, 50_000_000, 1.5)


def state(report: Report) -> dict[str, object]:
    return dict(json.loads(state_page(report)[1]))


def test_state_has_rows_and_drops() -> None:
    found = state(REPORT)
    assert found["state"] == "Working"
    assert found["rows"] == {"storage": 5, "eventHub": 4}
    assert found["dropped"] == {"spool_full": 3, "too_large": 1}


@pytest.mark.parametrize(
    ("report", "reason"),
    [
        (replace(REPORT, spool_full=True), "SpoolFull"),
        (replace(REPORT, no_records=True), "NoRecords"),
        (replace(REPORT, hash_key_missing=True), "HashKeyMissing"),
        (
            replace(REPORT, spool_full=True, sinks={"storage": replace(STORAGE, reason="StorageRefused")}),
            "StorageRefused",
        ),
    ],
)
def test_trouble_is_degraded_with_its_reason(report: Report, reason: str) -> None:
    found = state(report)
    assert (found["state"], found["reason"]) == ("Degraded", reason)


def test_metrics_have_the_names_of_the_alerts() -> None:
    lines = metrics_page(REPORT)[1].decode().splitlines()
    assert 'modelyard_collector_rows_total{sink="storage"} 5' in lines
    assert 'modelyard_collector_dropped_total{sink="eventHub",reason="too_large"} 1' in lines
    assert "modelyard_collector_backlog_bytes 40" in lines
    assert 'modelyard_collector_backlog_oldest_seconds{sink="eventHub"} 9' in lines
    empty = metrics_page(replace(REPORT, sinks={"storage": SinkState()}))[1].decode()
    assert 'modelyard_collector_dropped_total{sink="storage",reason="spool_full"} 0' in empty


@pytest.fixture
def server() -> Iterator[HttpServer]:
    def fail() -> tuple[str, bytes]:
        raise RuntimeError("no page")

    server = HttpServer(0, {"/state": lambda: ("application/json", b"{}"), "/fails": fail})
    thread = threading.Thread(target=server.serve)
    thread.start()
    yield server
    server.close()
    thread.join(10)
    assert not thread.is_alive()


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [("GET", "/state?x=1", 200), ("GET", "/", 404), ("POST", "/state", 405), ("GET", "/fails", 500)],
)
def test_server_answers(server: HttpServer, method: str, path: str, status: int) -> None:
    assert httpx.request(method, f"http://127.0.0.1:{server.port}{path}", timeout=30).status_code == status


def test_server_goes_on_after_clients_that_send_nonsense(server: HttpServer) -> None:
    for text in (b"\r\n\r\n", b"x" * 20000, b"GET"):
        with socket.create_connection(("127.0.0.1", server.port)) as client:
            client.sendall(text)
    assert httpx.get(f"http://127.0.0.1:{server.port}/state", timeout=30).text == "{}"
