"""The requests of a window, made from collected rows."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

import orjson

from modelyard.collected.row_files import Row, read_rows
from modelyard.collected.store import CollectedStore
from modelyard.collected.window import Window
from modelyard.replay.comparison import Prediction

_COLUMNS: Final = (
    "time",
    "requestId",
    "service",
    "method",
    "operation",
    "status",
    "durationSeconds",
    "requestType",
    "requestBytes",
    "inputs",
    "prediction",
    "inputsReference",
    "predictionReference",
    "truncated",
)
_JSON: Final = "application/json"
_INFER: Final = "infer"


class Skipped(StrEnum):
    """The reason for which a row makes no request. Its value is a noun for people."""

    BINARY = "binary inputs, or inputs that are not kept"
    CUT = "cut inputs"
    CHANGED = "fields left out or hashed"
    INCOMPLETE = "no inputs or status"


@dataclass(frozen=True)
class CollectedRequest:
    """A request as it was collected, and its response."""

    request_id: str
    method: str
    body: bytes
    """The query string of a GET."""
    content_type: str
    infers: bool
    """True for a request of the inference protocol."""
    service: str
    status: int
    seconds: float
    prediction: Prediction


def collected_requests(store: CollectedStore, window: Window) -> Iterator[list[CollectedRequest | Skipped]]:
    """Yield the requests of a window in batches, in the order of the files.

    Raises CollectedDataError for a file that cannot be read. A file that was just deleted has no rows.
    """
    for files in store.file_groups(window):
        for file in files:
            try:
                with store.opened(file) as (content, _):
                    for rows in read_rows(content, file.path, _COLUMNS):
                        yield [as_request(row) for row in rows if window.holds(row["time"])]
            except FileNotFoundError:
                continue


def as_request(row: Row) -> CollectedRequest | Skipped:
    """Return the request of a row, or the reason for which there is none."""
    body, status = _body(row["inputs"]), row["status"]
    if row["inputsReference"]:
        changed = Skipped.CUT if row["truncated"] else Skipped.CHANGED
        return Skipped.BINARY if body is None else changed
    if body is None or not isinstance(status, int):
        return Skipped.INCOMPLETE
    if row["requestBytes"] is not None and row["requestBytes"] != len(body):
        return Skipped.CHANGED
    return CollectedRequest(
        request_id=str(row["requestId"]),
        method=row["method"] or "POST",
        body=body,
        content_type=row["requestType"] or _JSON,
        infers=row["operation"] == _INFER,
        service=str(row["service"] or ""),
        status=status,
        seconds=_seconds(row["durationSeconds"]),
        prediction=_prediction(row),
    )


def _prediction(row: Row) -> Prediction:
    reference = row["predictionReference"]
    if reference:
        return Prediction(None, reference)
    body = _body(row["prediction"])
    return Prediction(None if body is None else body.decode(), None, bool(row["truncated"]))


def _body(value: Any) -> bytes | None:
    """Return the bytes of a body. JSON lines may hold the document itself."""
    if value is None:
        return None
    return value.encode() if isinstance(value, str) else orjson.dumps(value)


def _seconds(value: Any) -> float:
    if isinstance(value, dt.timedelta):
        return value.total_seconds()
    return float(value) if isinstance(value, int | float) else 0.0
