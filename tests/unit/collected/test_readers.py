"""Collected rows as pandas and DuckDB read them, with the commands of docs/data-collection.md."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import duckdb
import pandas as pd
import pyarrow as pa
import pyarrow.dataset as ds
import pytest
from tests.support.collected_rows import TIME, collected_row, write_rows

from modelyard.scoring.spool.declared import INPUTS, INTEGER, DeclaredColumn


@pytest.fixture
def service(tmp_path: Path) -> Path:
    """The folder of a Service: version 1 in two hours, and version 2, whose driver declares a column."""
    for hour, number in ((8, 1), (9, 2)):
        rows = [collected_row(number, {"x": number}, [1.5], time=TIME.replace(hour=hour))]
        write_rows(tmp_path, rows)
    second = collected_row(3, {"x": 3}, None, version="2", time=TIME.replace(hour=10))
    write_rows(tmp_path, [second], declared=[DeclaredColumn(INPUTS, ("x",), INTEGER)])
    return tmp_path / "modeldata" / "team" / "m"


def test_duckdb_reads_all_versions_with_their_declared_columns(service: Path) -> None:
    files = f"{service}/*/scoring/2026/11/*/*/*.parquet"

    rows = duckdb.sql(
        f"SELECT requestId, version, \"inputs.x\", modelIds[1], inputs->>'$.x', prediction"
        f" FROM read_parquet('{files}', union_by_name=true) ORDER BY time"
    ).fetchall()

    assert rows == [
        ("r1", "1", None, "m:1", "1", "[1.5]"),
        ("r2", "1", None, "m:1", "2", "[1.5]"),
        ("r3", "2", 3, "m:1", "3", None),
    ]


def test_duckdb_reads_the_files_of_one_hour(service: Path) -> None:
    hour = f"{service}/*/scoring/2026/11/03/09/*.parquet"

    assert duckdb.sql(f"SELECT requestId FROM read_parquet('{hour}')").fetchall() == [("r2",)]


def test_pandas_reads_a_day_of_a_version(service: Path) -> None:
    frame = pd.read_parquet(service / "1/scoring/2026/11/03")

    assert list(frame["requestId"]) == ["r1", "r2"]
    assert str(frame["time"].dt.tz) == "UTC"
    assert list(frame["status"]) == [200, 200]
    assert list(frame["modelIds"].iloc[0]) == ["m:1"]


def test_pandas_reads_all_versions_with_their_declared_columns(service: Path) -> None:
    files = [str(file) for file in service.glob("*/scoring/2026/11/*/*/*.parquet")]
    schema = pa.unify_schemas([ds.dataset(file).schema for file in files])

    frame = ds.dataset(files, schema=schema).to_table().to_pandas().sort_values("time")

    assert list(frame["requestId"]) == ["r1", "r2", "r3"]
    assert frame["inputs.x"].isna().tolist() == [True, True, False]


def test_duckdb_reads_json_lines(tmp_path: Path) -> None:
    path = write_rows(tmp_path, [collected_row(1, {"x": 1}, [1.5])], "a.jsonl")

    [row] = duckdb.sql(f"SELECT time::TIMESTAMP, version, inputs FROM read_json('{path}')").fetchall()

    assert row == ((TIME + dt.timedelta(microseconds=1)).replace(tzinfo=None), "1", '{"x": 1}')
