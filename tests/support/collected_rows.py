"""Files of collected rows, as the side-car writes them."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from modelyard.collection.columns import Columns
from modelyard.collection.encoding import JsonLinesEncoder
from modelyard.collection.fields import ProtectedFields
from modelyard.collection.parquet import ParquetEncoder
from modelyard.collection.row import Origin, Row
from modelyard.scoring.spool.declared import DeclaredColumn

TIME: Final = dt.datetime(2026, 11, 3, 8, 15, tzinfo=dt.UTC)
_EPOCH: Final = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
_ORIGIN: Final = ("namespace", "service", "version", "imageDigest")
_VALUES: Final = (
    "requestId",
    "correlationId",
    "traceId",
    "name",
    "method",
    "operation",
    "status",
    "durationSeconds",
    "requestType",
    "responseType",
    "requestBytes",
    "responseBytes",
    "inputs",
    "prediction",
    "inputsReference",
    "predictionReference",
    "truncated",
)
"""Columns in the order of a Row."""


def collected_row(number: int, inputs: Any = None, prediction: Any = None, **changes: Any) -> dict[str, Any]:
    """Return a row with the request id `r<number>`. Bodies other than texts become JSON."""
    before, after = _text(inputs), _text(prediction)
    return {
        "time": TIME + dt.timedelta(microseconds=number),
        "requestId": f"r{number}",
        "correlationId": f"r{number}",
        "traceId": None,
        "namespace": "team",
        "service": "m",
        "version": "1",
        "imageDigest": "sha256:" + "0" * 64,
        "modelIds": ["m:1"],
        "name": "scoring",
        "method": "POST",
        "operation": "score",
        "status": 200,
        "durationSeconds": 0.004,
        "requestType": "application/json",
        "responseType": "application/json",
        "requestBytes": None if before is None else len(before.encode()),
        "responseBytes": None if after is None else len(after.encode()),
        "inputs": before,
        "prediction": after,
        "inputsReference": None,
        "predictionReference": None,
        "truncated": False,
    } | changes


def write_rows(
    store: Path,
    rows: Sequence[dict[str, Any]],
    file: str = "pod-1-00000001.parquet",
    *,
    declared: Sequence[DeclaredColumn] = (),
) -> Path:
    """Write rows of one hour and collector below a folder, as the side-car does, and return the file.

    The name of the file decides on the format. `declared` are the columns that the driver declares.
    """
    first = rows[0]
    folder = Path("modeldata", *(first[level] for level in ("namespace", "service", "version", "name")))
    path = store / folder / f"{first['time']:%Y/%m/%d/%H}" / file
    path.parent.mkdir(parents=True, exist_ok=True)
    origin = Origin(*(first[name] for name in _ORIGIN), tuple(first["modelIds"]), "pod")
    encoder = JsonLinesEncoder(origin) if file.endswith(".jsonl") else ParquetEncoder(origin)
    columns = Columns(declared, ProtectedFields((), (), "")) if declared else None
    with path.open("w+b") as written:
        encoder.write(iter([[_row(row, columns) for row in rows]]), written)
    return path


def _row(row: dict[str, Any], columns: Columns | None) -> Row:
    values = [row[name] for name in _VALUES]
    return Row((row["time"] - _EPOCH) // dt.timedelta(microseconds=1), *values, columns)


def _text(body: Any) -> str | None:
    return body if body is None or isinstance(body, str) else json.dumps(body)
