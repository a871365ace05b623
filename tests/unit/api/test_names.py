"""References to versions as text and in parts."""

from __future__ import annotations

import pytest

from modelyard.api.names import VersionReference, parse_version_reference


@pytest.mark.parametrize(
    ("text", "reference"),
    [
        ("diabetes", VersionReference("diabetes", None)),
        ("diabetes:1", VersionReference("diabetes", 1)),
        ("a.b-c:999999999", VersionReference("a.b-c", 999999999)),
    ],
)
def test_reference_parses_and_prints_back(text: str, reference: VersionReference) -> None:
    assert parse_version_reference(text) == reference
    assert str(reference) == text
