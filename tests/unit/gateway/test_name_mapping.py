"""Object names of display names, and the parsing of ids."""

from __future__ import annotations

import pytest

from modelyard.api.kinds import KINDS, MODEL, SERVICE, Kind
from modelyard.api.names import VersionReference
from modelyard.gateway.name_mapping import (
    is_valid_name,
    object_name,
    parse_id,
    possible_references,
)

ODD = [
    "Model_1.pkl",
    "模型",
    "-",
    "UPPER",
    "a" * 300,
    "9lives",
    "x.y_z",
    "é",
    "a-",
    "",
    ":",
    "a:1",
    "\U0001f600",
]


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
@pytest.mark.parametrize("name", ODD)
def test_object_name_of_any_display_name_is_valid(kind: Kind, name: str) -> None:
    assert is_valid_name(kind, object_name(kind, name))
    assert object_name(kind, name) == object_name(kind, name)


def test_different_display_names_have_different_object_names() -> None:
    names = [*ODD, "model_1.pkl", "Model-1.pkl", "Model_1_pkl", "b" * 300, "a" * 299]
    assert len({object_name(SERVICE, name) for name in names}) == len(names)


@pytest.mark.parametrize(
    ("kind", "name"), [(MODEL, "a.b"), (MODEL, "1"), (SERVICE, "a-b"), (MODEL, "a" * 63)]
)
def test_valid_display_name_is_the_object_name(kind: Kind, name: str) -> None:
    assert object_name(kind, name) == name


def test_object_name_resembles_the_display_name() -> None:
    assert object_name(MODEL, "Model_1.pkl").startswith("model-1-pkl-")
    assert object_name(SERVICE, "9 lives").startswith("service-9-lives-")


@pytest.mark.parametrize(
    ("text", "reference"),
    [
        ("m:3", VersionReference("m", 3)),
        ("m", VersionReference("m", None)),
        ("a.b:12", VersionReference("a.b", 12)),
    ],
)
def test_id_is_parsed_into_a_reference(text: str, reference: VersionReference) -> None:
    assert parse_id(MODEL, text) == reference
    assert reference in possible_references(MODEL, text)


@pytest.mark.parametrize("text", ["m:0", "m:01", "m:-1", "m:", ":1", "m:9999999999", "m:1:"])
def test_text_that_is_not_an_id_is_a_name(text: str) -> None:
    assert parse_id(MODEL, text).version is None
