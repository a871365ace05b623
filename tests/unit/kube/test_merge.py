"""Merge patches: properties over random JSON, and quantities."""

from __future__ import annotations

import copy
import random
from typing import Any

import pytest
from tests.unit.fake_api_server import merge_patch

from modelyard.kube.merge import changes, covers, fingerprint, replacement


def value(rng: random.Random, depth: int = 3) -> Any:
    kind = rng.randrange(8 if depth else 6)
    if kind == 6:
        return [value(rng, depth - 1) for _ in range(rng.randrange(3))]
    if kind == 7:
        return document(rng, depth - 1)
    return rng.choice([0, 1, True, False, "", "a", "1", "100m", "0.1"])


def document(rng: random.Random, depth: int = 3) -> dict[str, Any]:
    return {key: value(rng, depth) for key in "abcd" if rng.random() < 0.6}


@pytest.fixture(params=range(100))
def rng(request: pytest.FixtureRequest) -> random.Random:
    return random.Random(request.param)


def test_replacement_turns_the_old_object_into_the_new(rng: random.Random) -> None:
    old, new = document(rng), document(rng)
    copies = copy.deepcopy((old, new))
    assert merge_patch(old, replacement(old, new)) == new
    assert replacement(new, copy.deepcopy(new)) == {}
    assert (old, new) == copies


def test_changes_make_the_live_object_cover_the_desired_one(rng: random.Random) -> None:
    live, desired = document(rng), document(rng)
    patch = changes(live, desired)
    patched = merge_patch(live, patch)
    assert covers(patched, desired)
    assert changes(patched, desired) == {}
    assert (patch == {}) == covers(live, desired)
    assert live.keys() <= patched.keys()


def test_fields_of_others_are_covered_and_preserved(rng: random.Random) -> None:
    desired = document(rng)
    live = merge_patch(desired, {"added": 1})
    assert covers(live, desired)
    assert merge_patch(live, changes(live, desired)) == live


@pytest.mark.parametrize(
    ("live", "desired", "covered"),
    [
        ("100m", "0.1", True),
        ("1", 1, True),
        ("2", "2000m", True),
        ("1Gi", "1024Mi", True),
        ("512Mi", "512M", False),
        ("100m", "100", False),
        ("true", True, False),
        ("1", True, False),
        (None, [], True),
        (None, {}, False),
        (None, None, True),
        ([1], [], False),
        ([], [1], False),
        ([{"a": 1, "b": 2}], [{"a": 1}], True),
        ([{"a": 1}, {"a": 2}], [{"a": 1}], False),
        ("a", {"a": 1}, False),
    ],
)
def test_live_value_covers_the_desired_one(live: Any, desired: Any, covered: bool) -> None:
    assert covers(live, desired) is covered
    assert (changes({"x": live}, {"x": desired}) == {}) is covered


@pytest.mark.parametrize(
    ("live", "desired", "patch"),
    [
        ({}, {"a": {"b": 1}}, {"a": {"b": 1}}),
        ({"a": {"c": 1}}, {"a": {"b": 1}}, {"a": {"b": 1}}),
        ({"a": [{"b": 1, "c": 1}]}, {"a": [{"b": 2}]}, {"a": [{"b": 2}]}),
        ({"a": 1, "b": 1}, {"a": 1}, {}),
    ],
)
def test_changes_replace_whole_lists_and_single_fields(live: Any, desired: Any, patch: Any) -> None:
    assert changes(live, desired) == patch


def test_fingerprint_depends_on_content_not_on_order() -> None:
    assert fingerprint({"a": 1, "b": [1]}) == fingerprint({"b": [1], "a": 1})
    assert fingerprint({"a": 1}) != fingerprint({"a": "1"})
    assert fingerprint({"a": 1}) == "015abd7f5cc57a2d"
