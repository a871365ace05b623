"""Values of declared columns, from the texts of bodies."""

from __future__ import annotations

import json
from typing import Any

import pytest

from modelyard.collection.columns import Columns
from modelyard.collection.fields import ProtectedFields
from modelyard.scoring.spool.declared import (
    BOOLEAN,
    INPUTS,
    INTEGER,
    NUMBER,
    PREDICTION,
    TEXT,
    DeclaredColumn,
)

TABLE = [
    DeclaredColumn(PREDICTION, (None,), NUMBER),
    DeclaredColumn(INPUTS, ("data", None, "age"), INTEGER),
    DeclaredColumn(INPUTS, ("data", None, "name"), TEXT),
    DeclaredColumn(INPUTS, ("unit",), TEXT),
]


def columns(
    declared: list[DeclaredColumn], leave_out: tuple[str, ...] = (), hashed: tuple[str, ...] = ()
) -> Columns:
    return Columns(declared, ProtectedFields(leave_out, hashed, "key" * 20))


def values(found: Columns, inputs: Any, prediction: Any = None, *, query: bool = False) -> dict[str, Any]:
    texts = [one if one is None or isinstance(one, str) else json.dumps(one) for one in (inputs, prediction)]
    return dict(zip(found.names, found.values(*texts, is_query=query), strict=True))


def test_table_is_a_list_in_each_column() -> None:
    body = {"data": [{"age": 30, "name": "Ann"}, {"age": 31.0}, {"name": 5}], "unit": "kg"}
    assert values(columns(TABLE), body, [1, 2.5, None]) == {
        "inputs.data.age": [30, 31, None],
        "inputs.data.name": ["Ann", None, None],
        "inputs.unit": "kg",
        "prediction.value": [1, 2.5, None],
    }


@pytest.mark.parametrize("body", [None, "", "{", "[" * 100_000, "7", "null", '{"data": {"age": 1}}', '"{}"'])
def test_body_of_another_shape_has_null_columns(body: str | None) -> None:
    assert set(values(columns(TABLE), body, body).values()) == {None}


@pytest.mark.parametrize(
    ("kind", "text", "value"),
    [
        (INTEGER, "7", 7),
        (INTEGER, "7.0", 7),
        (INTEGER, "7.5", None),
        (INTEGER, "true", None),
        (INTEGER, str(2**63), None),
        (INTEGER, str(-(2**63)), None),
        (INTEGER, str(1 - 2**63), 1 - 2**63),
        (INTEGER, "1e400", None),
        (NUMBER, "7", 7),
        (NUMBER, str(2**70), float(2**70)),
        (NUMBER, "1" + "0" * 400, None),
        (NUMBER, '"7"', None),
        (NUMBER, "false", None),
        (TEXT, '"7"', "7"),
        (TEXT, "7", None),
        (TEXT, '"\\ud800"', None),
        (BOOLEAN, "true", True),
        (BOOLEAN, "1", None),
    ],
)
def test_value_of_another_type_is_null(kind: str, text: str, value: Any) -> None:
    found = columns([DeclaredColumn(PREDICTION, (), kind), DeclaredColumn(PREDICTION, (None,), kind)])
    assert found.names == ("prediction.value",)
    assert values(found, None, text) == {"prediction.value": value}
    in_list = columns([DeclaredColumn(PREDICTION, (None,), kind)])
    assert values(in_list, None, f"[{text}]") == {"prediction.value": [value]}


def test_not_a_number_is_a_number() -> None:
    found = values(columns(TABLE), None, "[NaN, 1.0]")["prediction.value"]
    assert [str(one) for one in found] == ["nan", "1.0"]


def test_query_has_the_values_that_run_gets() -> None:
    found = columns(
        [
            DeclaredColumn(INPUTS, ("a",), INTEGER),
            DeclaredColumn(INPUTS, ("b",), TEXT),
            DeclaredColumn(INPUTS, ("c", None), NUMBER),
            DeclaredColumn(INPUTS, ("d",), TEXT),
        ]
    )
    query = "a=1&b=2&c=1&c=2.5"
    assert values(found, query, query=True) == {
        "inputs.a": 1,
        "inputs.b": "2",
        "inputs.c": [1, 2.5],
        "inputs.d": None,
    }


@pytest.mark.parametrize("path", ["data", "data.name", "data[*].name", "*[*].name", "$.data[*].*"])
def test_field_that_is_left_out_has_no_column(path: str) -> None:
    found = columns(TABLE, leave_out=(path,), hashed=("data.name",))
    assert "inputs.data.name" not in found.names
    assert "inputs.unit" in found.names


def test_hashed_field_is_a_text() -> None:
    fields = ProtectedFields((), ("data.age",), "key" * 20)
    found = Columns(TABLE, fields)
    body = fields.apply(b'{"data": [{"age": 30, "name": "Ann"}, {"age": null}]}').decode()
    kinds = {column.name: column.kind for column in found.declared}
    assert (kinds["inputs.data.age"], kinds["inputs.data.name"]) == (TEXT, TEXT)
    hashed, missing = values(found, body)["inputs.data.age"]
    assert hashed.startswith("hmac-sha256:")
    assert missing is None


@pytest.mark.parametrize(("path", "depth"), [("data", 0), ("data[*]", 1)])
def test_hashed_list_is_one_column_of_texts(path: str, depth: int) -> None:
    fields = ProtectedFields((), (path,), "key" * 20)
    found = Columns(TABLE, fields)
    assert found.names == ("inputs.data", "inputs.unit", "prediction.value")
    body = fields.apply(b'{"data": [{"age": 30}]}').decode()
    value = values(found, body)["inputs.data"]
    assert (value[0] if depth else value).startswith("hmac-sha256:")


def test_field_below_a_column_changes_no_type() -> None:
    found = columns(TABLE, leave_out=("unit.more",), hashed=("data.age.more",))
    assert {one.name: one.kind for one in found.declared}["inputs.data.age"] == INTEGER
    assert "inputs.unit" in found.names
