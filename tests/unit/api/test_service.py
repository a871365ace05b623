"""Default number of replicas of a Service."""

from __future__ import annotations

from typing import Any

import pytest

from modelyard.api.service import ServiceSpec


@pytest.mark.parametrize(
    ("spec", "autoscales", "minimum"),
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
def test_spec_determines_autoscaling_and_minimum_replicas(
    spec: dict[str, Any], autoscales: bool, minimum: int
) -> None:
    parsed = ServiceSpec.model_validate({"imageId": "diabetes", **spec})
    assert parsed.autoscales is autoscales
    assert parsed.min_replicas == minimum
