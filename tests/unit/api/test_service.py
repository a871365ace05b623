"""The defaults of a Service's scale."""

from __future__ import annotations

from typing import Any

import pytest

from modelyard.api.service import ServiceSpec


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
