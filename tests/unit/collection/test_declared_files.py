"""Declared columns in files of Parquet and JSON lines."""

from __future__ import annotations

import json
from io import BytesIO
from typing import Any, Final

import duckdb
import pandas as pd
import pyarrow.parquet as pq
import pytest
from tests.unit.collection.spool_files import ORIGIN, record, row_of

from modelyard.collection.encoding import Encoder, JsonLinesEncoder
from modelyard.collection.fields import ProtectedFields
from modelyard.collection.parquet import ParquetEncoder
from modelyard.collection.row import Row
from modelyard.collection.transformation import Transformation
from modelyard.scoring.spool.declared import (
    BOOLEAN,
    INPUTS,
    INTEGER,
    NUMBER,
    PREDICTION,
    TEXT,
    DeclaredColumn,
    encode_declared,
)

DECLARED: Final = encode_declared(
    [
        DeclaredColumn(INPUTS, ("data", None, "age"), INTEGER),
        DeclaredColumn(INPUTS, ("data", None, "name"), TEXT),
        DeclaredColumn(INPUTS, ("matrix", None, None), NUMBER),
        DeclaredColumn(INPUTS, ("flag",), BOOLEAN),
        DeclaredColumn(INPUTS, ("scale",), NUMBER),
        DeclaredColumn(PREDICTION, (None,), NUMBER),
    ]
)
NAMES: Final = (
    "inputs.data.age",
    "inputs.data.name",
    "inputs.matrix",
    "inputs.flag",
    "inputs.scale",
    "prediction.value",
)
BODY: Final = {
    "data": [{"age": 30, "name": "Ann"}, {"age": "old"}],
    "matrix": [[1, 2.5], [], None],
    "flag": True,
    "scale": 3,
}
BODIES: Final[list[tuple[Any, Any, list[Any]]]] = [
    (BODY, [1.5, 2], [[30, None], ["Ann", None], [[1.0, 2.5], [], None], True, 3.0, [1.5, 2.0]]),
    ({"data": [], "matrix": []}, [], [[], [], [], None, None, []]),
    ("no table", {"message": "no"}, [None] * 6),
    ({"data": {"age": 1}, "matrix": [1], "flag": 1, "scale": "3"}, 7, [None, None, [None], None, None, None]),
]
"""Inputs and predictions, and their values in the columns."""


def rows(declared: bytes = DECLARED) -> list[Row]:
    transformation = Transformation(ProtectedFields((), (), ""))
    return [
        row_of(
            transformation,
            record(f"r{n}", request=json.dumps(inputs).encode(), response=json.dumps(result).encode()),
            declared,
        )
        for n, (inputs, result, _) in enumerate(BODIES)
    ]


def written(encoder: Encoder, *chunks: list[Row]) -> bytes:
    file = BytesIO()
    assert encoder.write(iter(chunks), file) == sum(map(len, chunks))
    return file.getvalue()


def test_parquet_has_typed_columns() -> None:
    table = pq.read_table(BytesIO(written(ParquetEncoder(ORIGIN), rows(), rows())))
    kinds = {name: str(table.schema.field(name).type) for name in NAMES}
    assert kinds == {
        "inputs.data.age": "list<item: int64>",
        "inputs.data.name": "list<item: string>",
        "inputs.matrix": "list<item: list<item: double>>",
        "inputs.flag": "bool",
        "inputs.scale": "double",
        "prediction.value": "list<item: double>",
    }
    found = table.select(NAMES).to_pylist()
    assert [list(row.values()) for row in found] == [values for _, _, values in BODIES] * 2
    assert table["inputs"].to_pylist()[2] == '"no table"'


def test_json_lines_have_the_same_names() -> None:
    lines = written(JsonLinesEncoder(ORIGIN), rows()).splitlines()
    found = [json.loads(line) for line in lines]
    assert [[row[name] for name in NAMES] for row in found] == [values for _, _, values in BODIES]
    assert list(found[0])[-len(NAMES) :] == list(NAMES)


@pytest.mark.parametrize("encoder", [ParquetEncoder(ORIGIN), JsonLinesEncoder(ORIGIN)])
def test_file_has_the_columns_of_its_first_declaration(encoder: Encoder) -> None:
    other = encode_declared([DeclaredColumn(INPUTS, ("scale",), TEXT)])
    content = written(encoder, [*rows(b"")[:1], *rows()[:1]], rows(other)[:1], rows(b"")[:1])
    read = pd.read_parquet if content.startswith(b"PAR1") else lambda file: pd.read_json(file, lines=True)
    frame = read(BytesIO(content))
    assert set(NAMES) <= set(frame.columns)
    assert frame["inputs.scale"].isna().tolist() == [True, False, False, True]


def test_rows_without_a_declaration_have_no_columns() -> None:
    content = written(ParquetEncoder(ORIGIN), rows(b""))
    assert not set(NAMES) & set(pq.read_schema(BytesIO(content)).names)


def test_duckdb_joins_the_lists_of_a_table(tmp_path: Any) -> None:
    (tmp_path / "a.parquet").write_bytes(written(ParquetEncoder(ORIGIN), rows()))
    found = duckdb.sql(
        'SELECT requestId, unnest("inputs.data.age"), unnest("prediction.value")'
        f" FROM read_parquet('{tmp_path}/a.parquet') ORDER BY 1, 2"
    )
    assert found.fetchall() == [("r0", 30, 1.5), ("r0", None, 2.0)]


def test_pandas_reads_one_column(tmp_path: Any) -> None:
    (tmp_path / "a.parquet").write_bytes(written(ParquetEncoder(ORIGIN), rows()))
    frame = pd.read_parquet(tmp_path / "a.parquet", columns=["requestId", "inputs.scale"])
    assert frame["inputs.scale"].tolist()[0] == 3.0


def test_widest_declaration_is_written() -> None:
    names = [f"f{number}" for number in range(128)]
    wide = encode_declared([DeclaredColumn(INPUTS, (name,), TEXT) for name in names])
    transformation = Transformation(ProtectedFields((), (), ""))
    body = json.dumps(dict.fromkeys(names, "x")).encode()
    content = written(ParquetEncoder(ORIGIN), [row_of(transformation, record("r1", request=body), wide)])
    (found,) = pq.read_table(BytesIO(content)).to_pylist()
    assert {found[f"inputs.{name}"] for name in names} == {"x"}
