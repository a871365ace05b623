"""Rows as JSON."""

from __future__ import annotations

import json
from typing import Any

import pytest
from msgspec.structs import replace

from modelyard.collection.columns import Columns
from modelyard.collection.fields import ProtectedFields
from modelyard.collection.row import Origin, Row, RowEncoder
from modelyard.scoring.spool.declared import INPUTS, INTEGER, PREDICTION, TEXT, DeclaredColumn

ORIGIN = Origin("team-a", "diabetes", "3", "sha256:ab", ("diabetes:1",), "pod-1")
ROW = Row(
    time_us=1_796_000_000_000_001,
    request_id="r1",
    correlation_id="r1",
    trace_id=None,
    name="scoring",
    method="POST",
    operation="score",
    status=200,
    duration_seconds=0.25,
    request_type="application/json",
    response_type="application/json",
    request_bytes=12,
    response_bytes=3,
    inputs='{"data":"ü"}',
    prediction="[1]",
    inputs_reference=None,
    prediction_reference=None,
    truncated=False,
)

COLUMNS = Columns(
    [DeclaredColumn(INPUTS, ("data",), TEXT), DeclaredColumn(PREDICTION, (None,), INTEGER)],
    ProtectedFields((), (), ""),
)


def test_json_row_has_the_columns_of_the_documentation() -> None:
    assert json.loads(RowEncoder(ORIGIN).encode(ROW, {"inputs.age": 7})) == {
        "time": "2026-11-30T00:53:20.000001Z",
        "requestId": "r1",
        "correlationId": "r1",
        "traceId": None,
        "namespace": "team-a",
        "service": "diabetes",
        "version": "3",
        "imageDigest": "sha256:ab",
        "modelIds": ["diabetes:1"],
        "name": "scoring",
        "method": "POST",
        "operation": "score",
        "status": 200,
        "durationSeconds": 0.25,
        "requestType": "application/json",
        "responseType": "application/json",
        "requestBytes": 12,
        "responseBytes": 3,
        "inputs": '{"data":"ü"}',
        "prediction": "[1]",
        "inputsReference": None,
        "predictionReference": None,
        "truncated": False,
        "inputs.age": 7,
    }


@pytest.mark.parametrize(
    ("changes", "values"),
    [
        ({}, ["ü", [1]]),
        ({"inputs_reference": "sha256:1", "truncated": True}, [None, [1]]),
        ({"inputs": None, "inputs_reference": "sha256:1"}, [None, [1]]),
        ({"prediction_reference": "sha256:1"}, ["ü", None]),
        ({"status": 500}, ["ü", None]),
        ({"method": "GET", "inputs": "data=x"}, ["x", [1]]),
        ({"columns": None}, [None, None]),
    ],
)
def test_only_whole_bodies_have_values(changes: dict[str, Any], values: list[object]) -> None:
    row = replace(ROW, **{"columns": COLUMNS} | changes)
    assert list(row.column_values(COLUMNS)) == values
