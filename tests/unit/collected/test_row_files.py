"""The content of files of rows."""

from __future__ import annotations

import datetime as dt
import io
from pathlib import Path

import pytest
from tests.support.collected_rows import TIME, collected_row, write_rows

from modelyard.collected.errors import CollectedDataError
from modelyard.collected.row_files import BATCH_ROWS, read_rows

COLUMNS = ("time", "requestId", "inputs", "modelIds", "absent")


@pytest.mark.parametrize("name", ["a.parquet", "a.jsonl"])
def test_both_formats_have_the_same_rows_in_batches(tmp_path: Path, name: str) -> None:
    rows = [collected_row(number, [number], [1.5]) for number in range(BATCH_ROWS + 1)]
    path = write_rows(tmp_path, rows, name)

    with path.open("rb") as file:
        batches = list(read_rows(file, name, COLUMNS))

    assert [len(batch) for batch in batches] == [BATCH_ROWS, 1]
    assert batches[0][2] == {
        "time": TIME + dt.timedelta(microseconds=2),
        "requestId": "r2",
        "inputs": "[2]",
        "modelIds": ["m:1"],
        "absent": None,
    }


def test_lines_that_are_no_rows_are_left_out() -> None:
    lines = b'{"requestId": "a", "time": "no time"}\nnot JSON\n[1]\n{"requestId": "b"}'

    [rows] = read_rows(io.BytesIO(lines), "a.jsonl", ("requestId", "time"))

    assert [row["requestId"] for row in rows] == ["a", "b"]
    assert rows[0]["time"] is None


@pytest.mark.parametrize("damage", [slice(0, -20), slice(0, 2), slice(-12, None)])
def test_damaged_parquet_file_is_an_error_with_its_name(tmp_path: Path, damage: slice) -> None:
    path = write_rows(tmp_path, [collected_row(1, [1], [2])])
    path.write_bytes(path.read_bytes()[damage])

    with path.open("rb") as file, pytest.raises(CollectedDataError, match=r"a\.parquet is not a readable"):
        list(read_rows(file, "a.parquet", COLUMNS))
