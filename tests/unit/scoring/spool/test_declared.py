"""Declared columns: names, bounds, and their bytes in a segment."""

from __future__ import annotations

import json

import pytest

from modelyard.scoring.spool.declared import (
    BODIES,
    INPUTS,
    INTEGER,
    MAX_BYTES,
    MAX_COLUMNS,
    MAX_NAME,
    MAX_STEPS,
    NUMBER,
    PREDICTION,
    TEXT,
    DeclaredColumn,
    bounded,
    decode_declared,
    encode_declared,
)

AGE = DeclaredColumn(INPUTS, ("data", None, "age"), INTEGER)
PRICE = DeclaredColumn(PREDICTION, (None,), NUMBER)


def test_name_is_the_body_and_the_fields() -> None:
    assert AGE.name == "inputs.data.age"
    assert PRICE.name == DeclaredColumn(PREDICTION, (), NUMBER).name == "prediction.value"


def test_columns_survive_their_bytes() -> None:
    columns = (AGE, PRICE, DeclaredColumn(INPUTS, ("größe",), TEXT))
    assert decode_declared(encode_declared(columns)) == columns
    assert encode_declared(()) == b""


@pytest.mark.parametrize("name", ["", "a\0b", "a\nb", "\ud800", "\u202e", "x" * MAX_NAME])
def test_hostile_name_has_no_column(name: str) -> None:
    assert bounded([DeclaredColumn(INPUTS, (name,), TEXT), AGE]) == (AGE,)


def test_each_body_has_its_own_limit_of_columns() -> None:
    many = [DeclaredColumn(body, (f"f{n}",), TEXT) for body in BODIES for n in range(MAX_COLUMNS + 5)]
    found = bounded(many)
    assert len(found) == 2 * MAX_COLUMNS
    assert [one.name for one in found[MAX_COLUMNS - 1 :]][:2] == ["inputs.f127", "prediction.f0"]


def test_largest_columns_fit_into_their_frame() -> None:
    longest = "\U0001f600" * (MAX_NAME - len("prediction.") - 3)
    many = [
        DeclaredColumn(body, (f"{n:03}{longest}", *[None] * (MAX_STEPS - 1)), INTEGER)
        for body in BODIES
        for n in range(MAX_COLUMNS)
    ]
    assert len(decode_declared(encode_declared(bounded(many)))) == 2 * MAX_COLUMNS


def test_first_of_names_that_readers_take_for_the_same_counts() -> None:
    same = [
        DeclaredColumn(INPUTS, ("a.b",), TEXT),
        DeclaredColumn(INPUTS, ("a", "b"), INTEGER),
        DeclaredColumn(INPUTS, ("A", None, "B"), NUMBER),
    ]
    assert bounded(same) == (same[0],)


def test_path_beyond_the_limit_has_no_column() -> None:
    assert bounded([DeclaredColumn(INPUTS, (None,) * (MAX_STEPS + 1), NUMBER)]) == ()


@pytest.mark.parametrize(
    "payload",
    [
        b"\xff",
        b"{",
        b"7",
        b"[" * 100_000,
        json.dumps([["inputs", ["a"]]]).encode(),
        json.dumps([["other", ["a"], "string"]]).encode(),
        json.dumps([["inputs", ["a"], "struct"]]).encode(),
        json.dumps([["inputs", [7], "string"]]).encode(),
        json.dumps([["inputs", {"a": 1}, "string"]]).encode(),
        json.dumps([[["inputs"], ["a"], "string"]]).encode(),
        json.dumps([["inputs", ["a"], "string"]]).encode() + b" " * MAX_BYTES,
    ],
)
def test_bytes_of_a_driver_are_no_columns(payload: bytes) -> None:
    assert decode_declared(payload) == ()
