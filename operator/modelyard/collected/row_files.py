"""The content of files of collected rows: Parquet and JSON lines, in batches of bounded size."""

from __future__ import annotations

import datetime as dt
import io
from collections.abc import Callable, Iterator, Sequence
from typing import IO, Any, Final, TypeVar

import orjson
from arro3.core import Array, RecordBatch, RecordBatchReader
from arro3.io import read_parquet

from modelyard.collected.errors import CollectedDataError
from modelyard.object_stores.connection import is_panic

T = TypeVar("T")

BATCH_ROWS: Final = 64
"""A row has up to 2 MiB of bodies, so a batch has up to 128 MiB."""
_MAGIC: Final = b"PAR1"
_MAX_LINE_BYTES: Final = 64 * 1024 * 1024

Row = dict[str, Any]
"""The columns of a row that the caller asked for. A column that the file has not is None."""


def read_rows(file: IO[bytes], path: str, columns: Sequence[str]) -> Iterator[list[Row]]:
    """Yield the rows of a file in batches. `path` decides on the format.

    Raises CollectedDataError for a file that cannot be read.
    """
    if path.endswith(".parquet"):
        for batch in parquet_batches(parquet_reader(file, path), path):
            yield batch_rows(batch, columns)
        return
    for lines in line_batches(file):
        yield [{name: row.get(name) for name in columns} for row in map(line_row, lines) if row is not None]


def parquet_reader(file: IO[bytes], path: str) -> RecordBatchReader:
    """Open a Parquet file. Raises CollectedDataError for another file."""
    if file.seek(0, io.SEEK_END) < len(_MAGIC) or not _ends_with_magic(file):
        raise CollectedDataError(f"{path} is not a readable Parquet file: its end is missing")
    file.seek(0)
    return _parquet(lambda: read_parquet(file, batch_size=BATCH_ROWS), path)


def parquet_batches(reader: RecordBatchReader, path: str) -> Iterator[RecordBatch]:
    """Yield the batches of a Parquet file. Raises CollectedDataError if a page is damaged."""
    while (batch := _parquet(lambda: _next(reader), path)) is not None:
        yield batch


def _ends_with_magic(file: IO[bytes]) -> bool:
    """Return False for a file that the library would answer with a panic."""
    file.seek(-len(_MAGIC), io.SEEK_END)
    return file.read() == _MAGIC


def _next(reader: RecordBatchReader) -> RecordBatch | None:
    try:
        return reader.read_next_batch()
    except StopIteration:
        return None


def batch_rows(batch: RecordBatch, columns: Sequence[str]) -> list[Row]:
    """Return columns of a batch as rows."""
    present = set(batch.column_names)
    found = [_values(batch.column(name)) if name in present else [None] * batch.num_rows for name in columns]
    return [dict(zip(columns, values, strict=True)) for values in zip(*found, strict=True)]


def _values(column: Array) -> list[Any]:
    return list(column.to_pylist())


def line_batches(file: IO[bytes]) -> Iterator[list[bytes]]:
    """Yield the lines of a file of JSON lines in batches, each with its end of line."""
    lines: list[bytes] = []
    size = 0
    while line := file.readline(_MAX_LINE_BYTES):
        lines.append(line)
        size += len(line)
        if len(lines) >= BATCH_ROWS or size >= _MAX_LINE_BYTES:
            yield lines
            lines, size = [], 0
    if lines:
        yield lines


def line_row(line: bytes) -> Row | None:
    """Return the row of a line, None for a line that is not a JSON object."""
    try:
        row = orjson.loads(line)
    except orjson.JSONDecodeError:
        return None
    if not isinstance(row, dict):
        return None
    row["time"] = _time(row.get("time"))
    return row


def _time(value: Any) -> dt.datetime | None:
    try:
        time = dt.datetime.fromisoformat(value)
    except (TypeError, ValueError):
        return None
    return time.replace(tzinfo=dt.UTC) if time.tzinfo is None else time


def _parquet(call: Callable[[], T], path: str) -> T:
    """Call the library, whose errors have no common class. Its panics are no subclass of Exception."""
    try:
        return call()
    except BaseException as error:
        if not isinstance(error, Exception) and not is_panic(error):
            raise
        reason = str(error).partition("\n")[0]
        raise CollectedDataError(f"{path} is not a readable Parquet file: {reason}") from None
