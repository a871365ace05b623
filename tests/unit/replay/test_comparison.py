"""The comparison of responses."""

from __future__ import annotations

from hashlib import sha256

import pytest

from modelyard.json_path import parse_path
from modelyard.replay.comparison import BODY, Comparison, Difference, Prediction


def _compare(before: str, after: str, tolerance: float = 0.0, *ignored: str) -> list[Difference]:
    comparison = Comparison(tolerance, [parse_path(path) for path in ignored])
    return list(comparison.differences(Prediction(before), after.encode()))


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("[1.0, 2]", "[1, 2.0]"),
        ('{"a": 1, "b": [null]}', '{"b":[null],"a":1}'),
        ('"text"', '"te\\u0078t"'),
        ("[NaN, Infinity]", "[NaN,Infinity]"),
        ("123456789012345678901234567890", "123456789012345678901234567890"),
        ("not JSON", "not JSON"),
        ("", ""),
    ],
)
def test_equal_values_have_no_difference(before: str, after: str) -> None:
    assert _compare(before, after) == []


@pytest.mark.parametrize(
    ("before", "after", "columns"),
    [
        ("[1, 2, 3]", "[1, 2.5, 4]", {"[*]"}),
        ('{"values": [{"score": 1}]}', '{"values": [{"score": 2}]}', {"values[*].score"}),
        ('{"a": 1}', "{}", {"a"}),
        ("[1]", "[1, 2]", {"[*]"}),
        ("[true]", "[1]", {"[*]"}),
        ('["1"]', "[1]", {"[*]"}),
        ("[null]", "[0]", {"[*]"}),
        ("[NaN]", "[1]", {"[*]"}),
        ('{"a": {"b": 1}}', '{"a": [1]}', {"a"}),
        ("1", "2", {BODY}),
        ("plain", "other", {BODY}),
        ("[1]", "<html>", {BODY}),
    ],
)
def test_different_values_are_in_their_column(before: str, after: str, columns: set[str]) -> None:
    assert {one.column for one in _compare(before, after)} == columns


def test_numbers_have_a_distance_and_others_none() -> None:
    assert [one.size for one in _compare("[1, 2]", "[1.5, 4]")] in ([0.5, 2.0], [2.0, 0.5])
    assert [one.size for one in _compare('["a"]', '["b"]')] == [None]
    assert [one.size for one in _compare("[1]", "[1" + "0" * 400 + "]")] == [None]


def test_tolerance_is_absolute_for_small_and_relative_for_large_numbers() -> None:
    assert _compare("[0, 1000000]", "[0.0005, 1000500]", 1e-3) == []
    assert len(_compare("[0, 1000000]", "[0.002, 1002000]", 1e-3)) == 2


def test_ignored_paths_are_not_compared() -> None:
    before, after = '{"id": "a", "rows": [{"time": 1, "x": 1}]}', '{"id": "b", "rows": [{"time": 2, "x": 2}]}'

    assert {one.column for one in _compare(before, after, 0.0, "id", "rows[*].time")} == {"rows[*].x"}


def test_response_that_was_not_kept_is_compared_by_its_digest() -> None:
    digest = f"sha256:{sha256(b'image').hexdigest()}"

    assert list(Comparison().differences(Prediction(None, digest), b"image")) == []
    assert [one.column for one in Comparison().differences(Prediction(None, digest), b"other")] == [BODY]


def test_cut_stream_is_compared_by_its_beginning() -> None:
    stream = Prediction("[1, 2", is_beginning=True)

    assert list(Comparison().differences(stream, b"[1, 2, 3]")) == []
    assert list(Comparison().differences(stream, b"[1, 3, 3]")) == [
        Difference(BODY, "'[1, 2'", "'[1, 3'", None)
    ]
    assert list(Comparison().differences(Prediction(None), b"a binary stream")) == []


def test_deep_and_hostile_documents_are_compared() -> None:
    deep = "[" * 500 + "1" + "]" * 500
    assert [one.size for one in _compare(deep, deep.replace("1", "2"))] == [1.0]

    deeper = "[" * 200_000
    assert [one.column for one in _compare(deeper, deeper + "]")] == [BODY]
    [difference] = _compare('{"a\\u001b[31m' + "x" * 500 + '": 1}', "{}")
    assert "\x1b" not in difference.column
    assert len(difference.column) <= 100
