"""The columns in the schema of run()."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import pytest
from numpy import ndarray
from pandas import DataFrame

from modelyard.scoring.spool.declared import MAX_COLUMNS
from modelyard.scoring.worker.declared_columns import declared_columns
from modelyard.scoring.worker.hints import hint_of


@dataclass
class Person:
    """A row of a table."""

    name: str
    age: int | None = None


def documents(source: Any = None, result: Any = None, **others: Any) -> dict[str, Any]:
    """Return the OpenAPI documents of a driver."""
    schemas = {"ServiceInput": source, "ServiceOutput": result, **others}
    return {"3.1": {"components": {"schemas": schemas}}}


def columns(source: Any = None, result: Any = None, **others: Any) -> dict[str, str]:
    """Return the names of columns with their types, a list in brackets."""
    found = declared_columns(documents(source, result, **others))
    return {one.name: "[" * one.path.count(None) + one.kind for one in found}


def parameters(**annotations: Any) -> dict[str, Any]:
    """Return the schema of a run() with these parameters."""
    properties = {name: hint_of(annotation).schema for name, annotation in annotations.items()}
    return {"type": "object", "properties": properties}


def test_hints_are_columns() -> None:
    source = parameters(
        people=list[Person], rows=list[list[float]], unit=Literal["a", "b"], pair=tuple[int, float], ok=bool
    )
    assert columns(source, hint_of(float).schema) == {
        "inputs.people.name": "[string",
        "inputs.people.age": "[integer",
        "inputs.rows": "[[number",
        "inputs.unit": "string",
        "inputs.pair": "[number",
        "inputs.ok": "boolean",
        "prediction.value": "number",
    }


def test_types_that_a_column_cannot_have_are_none() -> None:
    source = parameters(a=int | str, b=dict[str, float], c=ndarray, d=DataFrame, e=Any, f=Literal[1, "a"])
    assert columns(source, hint_of(list[Any]).schema) == {}


def test_samples_of_inference_schema_are_columns() -> None:
    """The schema that inference-schema 1.8 makes of a DataFrame, an array and a dict."""
    table = {
        "type": "array",
        "items": {
            "type": "object",
            "required": ["age", "t"],
            "properties": {
                "age": {"type": "integer", "format": "int64"},
                "t": {"type": "string", "format": "date-time"},
            },
        },
        "format": "pandas.DataFrame:records",
    }
    number = {"type": "number", "format": "double"}
    array = {"type": "array", "items": {"type": "array", "items": number}, "format": "numpy.ndarray"}
    nested = {"type": "object", "required": ["b"], "properties": {"b": {"type": "array", "items": number}}}
    source = {"type": "object", "properties": {"data": table, "m": array, "p": nested}, "example": {}}
    assert columns(source, {"type": "array", "items": number, "example": [1.0]}) == {
        "inputs.data.age": "[integer",
        "inputs.data.t": "[string",
        "inputs.m": "[[number",
        "inputs.p.b": "[number",
        "prediction.value": "[number",
    }


def test_document_of_the_driver_counts_where_no_newer_one_has_columns() -> None:
    anything = {"type": "object", "example": {}}
    own = {"definitions": {"ServiceInput": {"properties": {"x": {"$ref": "#/definitions/X"}}}}}
    own["definitions"]["X"] = {"type": "number", "x-nullable": True}  # type: ignore[dict-item]
    found = declared_columns(documents(anything, anything) | {"2": own})
    assert [(one.name, one.kind) for one in found] == [("inputs.x", "number")]


def test_null_and_single_choices_are_no_types_of_their_own() -> None:
    properties = {
        "a": {"type": ["integer", "null"]},
        "b": {"anyOf": [{"type": "null"}, {"allOf": [{"$ref": "#/components/schemas/B"}]}]},
        "c": {"const": 1.5},
        "d": {"oneOf": [{"type": "integer"}, {"type": "number"}]},
        "e": {"enum": ["x", None]},
        "f": {"type": ["object", "null"], "properties": {7: {"type": "string"}}},
    }
    assert columns({"properties": properties}, B={"type": "boolean"}) == {
        "inputs.a": "integer",
        "inputs.b": "boolean",
        "inputs.c": "number",
        "inputs.d": "number",
        "inputs.e": "string",
        "inputs.f.7": "string",
    }


def test_references_in_a_circle_end() -> None:
    itself = {"$ref": "#/components/schemas/A"}
    fan = {"properties": {f"f{number}": itself for number in range(100)}}
    assert columns(itself, A=itself) == {}
    assert columns(itself, A=fan) == {}
    assert columns({"type": "array", "items": itself}, A={"type": "array", "items": itself}) == {}


def test_wide_schema_has_the_first_columns() -> None:
    wide = {"properties": {f"f{number}": {"type": "number"} for number in range(5000)}}
    found = columns(wide, wide)
    assert len(found) == 2 * MAX_COLUMNS
    assert ("inputs.f0" in found, "prediction.f0" in found, "inputs.f4999" in found) == (True, True, False)


@pytest.mark.parametrize(
    "document",
    [
        None,
        [],
        {"components": []},
        {"components": {"schemas": {"ServiceInput": []}}},
        {"components": {"schemas": {"ServiceInput": {"properties": {"a": 1, "b": {"type": {}}}}}}},
        {"components": {"schemas": {"ServiceInput": {"properties": {"a": {"type": []}}}}}},
        {"components": {"schemas": {"ServiceInput": {"anyOf": [1, {"type": [{}]}]}}}},
        {"components": {"schemas": {"ServiceInput": {"anyOf": []}}}},
        {"components": {"schemas": {"ServiceInput": {"type": "array", "prefixItems": [3]}}}},
    ],
)
def test_document_of_another_shape_has_no_columns(document: Any) -> None:
    assert declared_columns({"3.1": document}) == ()
