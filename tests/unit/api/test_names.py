"""References, as text and in parts."""

from __future__ import annotations

import pytest

from modelyard.api.names import Reference, parse_reference


@pytest.mark.parametrize(
    ("text", "reference"),
    [
        ("diabetes", Reference("diabetes", None)),
        ("diabetes:1", Reference("diabetes", 1)),
        ("a.b-c:999999999", Reference("a.b-c", 999999999)),
    ],
)
def test_reference_parses_and_prints_back(text: str, reference: Reference) -> None:
    assert parse_reference(text) == reference
    assert str(reference) == text
