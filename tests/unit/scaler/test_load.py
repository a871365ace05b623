"""The load of a replica: its report, and the mean over the last seconds."""

from __future__ import annotations

import pytest

from modelyard.replica_client.load import Load, parse_load
from modelyard.scaler.load import Figures, parse_metrics
from modelyard.scoring.front.metrics import Metrics

BUSY = Load(running=3, waiting=1, places=4, requests=9, ready=True)


def test_load_of_a_replica_is_parsed() -> None:
    body = b'{"running": 3, "waiting": 1, "places": 4, "requests": 9, "ready": true}'
    assert parse_load(body) == BUSY
    assert BUSY.utilization == 1.0


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b"{}",
        b'{"running": -1, "waiting": 0, "places": 1, "requests": 0, "ready": true}',
        b'{"running": 1, "waiting": 0, "places": 0, "requests": 0, "ready": true}',
        b'{"running": 1e400, "waiting": 0, "places": 1, "requests": 0, "ready": true}',
        b'{"running": "1", "waiting": 0, "places": 1, "requests": 0, "ready": true}',
        b'{"running": 99999999999999999999, "waiting": 0, "places": 1, "requests": 0, "ready": true}',
    ],
)
def test_load_that_no_replica_reports_is_refused(body: bytes) -> None:
    with pytest.raises(ValueError, match=r"."):
        parse_load(body)


def test_load_of_an_older_image_comes_from_its_metrics() -> None:
    metrics = Metrics()
    metrics.requests.update({200: 7, 503: 2})
    text = metrics.text(sent=5, waiting=0, concurrency=4, restarts=0, ready=True)
    assert parse_metrics(text) == Load(running=4, waiting=1, places=4, requests=9, ready=True)


@pytest.mark.parametrize(
    "text",
    ["", "modelyard_scoring_running 1", "modelyard_scoring_running x", "modelyard_scoring_running NaN"],
)
def test_metrics_without_the_load_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        parse_metrics(text)


def load(running: int) -> Load:
    return Load(running=running, waiting=0, places=4, requests=0, ready=True)


def test_utilization_is_the_mean_of_the_last_ten_seconds() -> None:
    figures = Figures()
    figures.add(load(4), at=100.0, read_at=0.0)
    figures.add(load(2), at=105.0, read_at=5.0)
    assert (figures.utilization, figures.window_seconds) == (0.75, 5.0)
    figures.add(load(0), at=111.0, read_at=11.0)
    assert (figures.utilization, figures.window_seconds) == (0.25, 6.0)
    assert (figures.age(113.0), figures.read_at) == (2.0, 11.0)


def test_replica_that_is_read_rarely_has_its_latest_figure() -> None:
    figures = Figures()
    assert figures.age(100.0) == float("inf")
    for at in (100.0, 160.0):
        figures.add(load(int(at == 160.0) * 4), at, at)
    assert figures.utilization == 1.0
