"""Quantities and the defaults of a Service's scale."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from modelyard.api.service import ServiceSpec, parse_quantity


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
def test_quantity_in_its_base_unit(text: str | int, value: str) -> None:
    assert parse_quantity(text) == Decimal(value)


@pytest.mark.parametrize(
    "text", ["", "m", "1 ", "1_0", "0x1", "NaN", "1e", "1mi", "1KI", "1e1k", "++1", "1\n"]
)
def test_text_that_is_no_quantity(text: str) -> None:
    assert parse_quantity(text) is None


@pytest.mark.parametrize(
    ("spec", "autoscales", "fewest"),
    [
        ({}, True, 1),
        ({"numReplicas": 3}, False, 3),
        ({"numReplicas": 0}, False, 0),
        ({"numReplicas": 3, "autoScaler": {}}, False, 3),
        ({"numReplicas": 3, "autoScaler": {"autoscaleEnabled": False}}, False, 3),
        ({"autoScaler": {"autoscaleEnabled": False}}, False, 1),
        ({"autoScaler": {"autoscaleEnabled": True}}, True, 1),
        ({"autoScaler": {"minReplicas": 4}}, True, 4),
        ({"autoScaler": {"minReplicas": 0}}, True, 1),
    ],
)
def test_who_owns_the_number_of_replicas(spec: dict[str, Any], autoscales: bool, fewest: int) -> None:
    parsed = ServiceSpec.model_validate({"imageId": "diabetes", **spec})
    assert parsed.autoscales is autoscales
    assert parsed.min_replicas == fewest
