"""Sizes in bytes, formatted for people."""

from __future__ import annotations

import pytest

from modelyard.sizes import human


@pytest.mark.parametrize(
    ("size", "text"),
    [
        (0, "0 bytes"),
        (1023, "1023 bytes"),
        (1024, "1 KiB"),
        (1.5 * 1024**3, "1.5 GiB"),
        (2048 * 1024**3, "2 TiB"),
    ],
)
def test_size_has_the_largest_fitting_unit(size: float, text: str) -> None:
    assert human(size) == text
