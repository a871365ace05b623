"""Paths into JSON documents."""

from __future__ import annotations

import pytest

from modelyard.json_path import PATTERN, Path, match_end, matches, parse_path, values

DOCUMENT = {"data": [{"ssn": 1}, {"ssn": 2}, {"other": 3}], "a b": {"x": 4}}


@pytest.mark.parametrize(
    ("path", "found"),
    [
        ("data[*].ssn", [1, 2]),
        ("data.*.ssn", [1, 2]),
        ("a b.x", [4]),
        ("*.x", [4]),
        ("data.ssn", [1, 2]),
        ("data.*", [{"ssn": 1}, {"ssn": 2}, {"other": 3}]),
        ("data.absent", []),
        ("data[*].ssn.deeper", []),
        ("$.data.ssn", [1, 2]),
        ("$", []),
        ("absent", []),
    ],
)
def test_path_finds_values(path: str, found: list[int]) -> None:
    assert list(values(DOCUMENT, parse_path(path))) == found


def test_path_starts_at_a_list() -> None:
    assert list(values([{"ssn": 1}], parse_path("[*].ssn"))) == [1]
    assert list(values([{"ssn": 1}], parse_path("$[*].ssn"))) == [1]


@pytest.mark.parametrize(
    "text",
    ["", ".", ".a", "a..b", "a[0]", "a[", "a.", "[]", "[-1]", "a[*]b", "a.[*]", "a\n", "a**", "a" * 257],
)
def test_other_texts_are_no_paths(text: str) -> None:
    with pytest.raises(ValueError, match="not a path"):
        parse_path(text)


@pytest.mark.parametrize("text", ["a", "$", "a b.x", "*", "[*][*]", "$.a", "$[*].a", "*.a[*].*", "a" * 256])
def test_steps_of_a_path_say_the_same_as_its_text(text: str) -> None:
    assert PATTERN.fullmatch(text)
    steps = parse_path(text)
    assert parse_path(".".join(steps)) == steps


def test_pattern_matches_its_path_and_all_below() -> None:
    assert matches(("data", "*", "ssn"), ("data", "*", "ssn"))
    assert matches(("data", "*", "ssn"), ("data",))
    assert matches(("data", "*", "ssn", "*"), ("data", "ssn"))
    assert not matches(("data", "*"), ("data", "ssn"))
    assert matches(("data", "x"), ("*", "x"))
    assert not matches(("data",), ("data", "x"))
    assert not matches(("other", "x"), ("data",))


@pytest.mark.parametrize(
    ("pattern", "end"), [(("data",), 1), (("data", "*"), 2), (("ssn",), None), (("*", "ssn"), 3)]
)
def test_pattern_ends_at_a_step_of_the_path(pattern: Path, end: int | None) -> None:
    assert match_end(("data", "*", "ssn", "*"), pattern) == end
