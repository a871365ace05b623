"""The requests of collected rows."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import Any

import pytest
from tests.support.collected_rows import TIME, collected_row, write_rows

from modelyard.collected.store import CollectedStore
from modelyard.collected.window import Window
from modelyard.replay.comparison import Prediction
from modelyard.replay.requests import CollectedRequest, Skipped, as_request, collected_requests
from modelyard.scoring.spool.declared import INPUTS, INTEGER, NUMBER, PREDICTION, DeclaredColumn


def test_row_becomes_the_request_that_was_sent() -> None:
    request = as_request(collected_row(1, '{"data": "ä"}', [1.5], requestType="text/csv", operation="infer"))

    assert isinstance(request, CollectedRequest)
    assert request.body == '{"data": "ä"}'.encode()
    assert (request.method, request.content_type, request.infers) == ("POST", "text/csv", True)
    assert (request.status, request.prediction) == (200, Prediction("[1.5]"))


def test_row_of_an_older_release_has_no_method() -> None:
    row = collected_row(1, [1], [1], method=None, operation=None, requestType=None, requestBytes=None)

    request = as_request(row)

    assert isinstance(request, CollectedRequest)
    assert (request.method, request.content_type, request.infers) == ("POST", "application/json", False)


@pytest.mark.parametrize(
    ("changes", "prediction"),
    [
        ({"predictionReference": "sha256:1", "truncated": True}, Prediction(None, "sha256:1")),
        ({"prediction": None, "predictionReference": "sha256:1"}, Prediction(None, "sha256:1")),
        ({"truncated": True}, Prediction("[1]", is_beginning=True)),
    ],
    ids=["cut", "binary", "cut stream"],
)
def test_response_that_is_not_whole(changes: dict[str, Any], prediction: Prediction) -> None:
    request = as_request(collected_row(1, [1], [1]) | changes)

    assert isinstance(request, CollectedRequest)
    assert request.prediction == prediction


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"inputs": None, "inputsReference": "sha256:1"}, Skipped.BINARY),
        ({"inputsReference": "sha256:1", "truncated": True}, Skipped.CUT),
        ({"inputsReference": "sha256:1"}, Skipped.CHANGED),
        ({"requestBytes": 999}, Skipped.CHANGED),
        ({"inputs": None}, Skipped.INCOMPLETE),
        ({"status": None}, Skipped.INCOMPLETE),
    ],
)
def test_row_without_the_whole_request_is_skipped(changes: dict[str, Any], reason: Skipped) -> None:
    assert as_request(collected_row(1, [1], [1]) | changes) is reason


@pytest.mark.parametrize("name", ["a.parquet", "a.jsonl"])
def test_requests_of_the_window_come_in_order(tmp_path: Path, name: str) -> None:
    write_rows(tmp_path, [collected_row(number, [number], [1]) for number in range(100)], f"1-{name}")
    declared = [DeclaredColumn(INPUTS, (None,), INTEGER), DeclaredColumn(PREDICTION, (None,), NUMBER)]
    later = [collected_row(number, [number], [1]) for number in range(100, 200)]
    write_rows(tmp_path, later, f"2-{name}", declared=declared)
    write_rows(tmp_path, [collected_row(500, [1], [1], name="inputs")], name)
    window = Window("team", "m", None, "scoring", TIME, TIME + dt.timedelta(microseconds=150))

    found = [one for batch in collected_requests(CollectedStore(str(tmp_path)), window) for one in batch]

    assert [one.request_id for one in found if isinstance(one, CollectedRequest)] == [
        f"r{number}" for number in range(150)
    ]
