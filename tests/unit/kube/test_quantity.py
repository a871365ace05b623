"""Quantities in their base unit."""

from __future__ import annotations

from decimal import Decimal

import pytest

from modelyard.kube.quantity import format_quantity, parse_quantity


@pytest.mark.parametrize(
    ("text", "value"),
    [
        (2, "2"),
        ("100m", "0.1"),
        ("1e3", "1000"),
        ("1E3", "1000"),
        ("1E", "1000000000000000000"),
        ("1Ei", str(2**60)),
        ("1.5Gi", str(3 * 2**29)),
        (".5k", "500"),
        ("5.", "5"),
        ("-1n", "-0.000000001"),
        ("+1u", "0.000001"),
    ],
)
def test_quantity_is_parsed_into_its_base_unit(text: str | int, value: str) -> None:
    assert parse_quantity(text) == Decimal(value)


@pytest.mark.parametrize(
    "text", ["", "m", "1 ", "1_0", "0x1", "NaN", "1e", "1mi", "1KI", "1e1k", "++1", "1\n"]
)
def test_text_in_no_quantity_format_gives_none(text: str) -> None:
    assert parse_quantity(text) is None


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0, "0"),
        (1001, "1001"),
        ("1024.9", "1Ki"),
        (1536 * 2**20, "1536Mi"),
        (2**31, "2Gi"),
        (8 * 10**9, "8G"),
    ],
)
def test_quantity_is_written_as_its_shortest_text(value: int | str, text: str) -> None:
    assert format_quantity(Decimal(value)) == text
