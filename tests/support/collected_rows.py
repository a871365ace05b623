"""Files of collected rows, as the side-car writes them."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import pyarrow as pa
from arro3.core import RecordBatchReader
from arro3.io import write_parquet

TIME: Final = dt.datetime(2026, 11, 3, 8, 15, tzinfo=dt.UTC)
_SCHEMA: Final = pa.schema(
    {
        "time": pa.timestamp("us", "UTC"),
        "requestId": pa.string(),
        "correlationId": pa.string(),
        "traceId": pa.string(),
        "namespace": pa.string(),
        "service": pa.string(),
        "version": pa.string(),
        "imageDigest": pa.string(),
        "modelIds": pa.list_(pa.string()),
        "name": pa.string(),
        "method": pa.string(),
        "operation": pa.string(),
        "status": pa.int32(),
        "durationSeconds": pa.float64(),
        "requestType": pa.string(),
        "responseType": pa.string(),
        "requestBytes": pa.int64(),
        "responseBytes": pa.int64(),
        "inputs": pa.string(),
        "prediction": pa.string(),
        "inputsReference": pa.string(),
        "predictionReference": pa.string(),
        "truncated": pa.bool_(),
    }
)


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
    columns: dict[str, pa.DataType] | None = None,
) -> Path:
    """Write rows of one hour and collector below a folder, and return the file.

    The name of the file decides on the format. `columns` are those that the driver declares.
    """
    first = rows[0]
    folder = Path("modeldata", *(first[level] for level in ("namespace", "service", "version", "name")))
    path = store / folder / f"{first['time']:%Y/%m/%d/%H}" / file
    path.parent.mkdir(parents=True, exist_ok=True)
    if file.endswith(".jsonl"):
        path.write_text("".join(json.dumps(row, default=_time_text) + "\n" for row in rows))
        return path
    schema = pa.schema([*_SCHEMA, *(pa.field(name, kind) for name, kind in (columns or {}).items())])
    table = pa.Table.from_pylist(list(rows), schema)
    write_parquet(RecordBatchReader.from_stream(table), path, compression="zstd(3)")
    return path


def _time_text(time: dt.datetime) -> str:
    return time.isoformat(timespec="microseconds").replace("+00:00", "Z")


def _text(body: Any) -> str | None:
    return body if body is None or isinstance(body, str) else json.dumps(body)
