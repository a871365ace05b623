"""The HorizontalPodAutoscaler of a Service."""

from __future__ import annotations

from typing import Any

import pytest

from modelyard.api.owners import Owner
from modelyard.api.service import ServiceSpec
from modelyard.kube.types import Json
from modelyard.resources.autoscaling import autoscaler

OWNER = Owner("Service", "m", "u1")
CPU = {
    "type": "ContainerResource",
    "containerResource": {
        "name": "cpu",
        "container": "scoring",  # not the collector beside it
        "target": {"type": "Utilization", "averageUtilization": 70},
    },
}


def spec_of(scaler: Json, *, has_requests_metric: bool = True) -> Json:
    spec = ServiceSpec.model_validate({"imageId": "m", "autoScaler": scaler})
    built: Json = autoscaler(OWNER, spec, has_requests_metric=has_requests_metric)["spec"]
    return built


def test_defaults_are_those_of_the_2017_api_and_of_kubernetes() -> None:
    assert spec_of({}) == {
        "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "m"},
        "minReplicas": 1,
        "maxReplicas": 10,
        "metrics": [
            {
                "type": "Pods",
                "pods": {
                    "metric": {"name": "modelyard_scoring_utilization"},
                    "target": {"type": "AverageValue", "averageValue": "700m"},
                },
            }
        ],
        "behavior": {
            "scaleUp": {
                "stabilizationWindowSeconds": 0,
                "selectPolicy": "Max",
                "policies": [{"type": "Pods", "value": 10, "periodSeconds": 1}],
            },
            "scaleDown": {
                "stabilizationWindowSeconds": 300,
                "selectPolicy": "Max",
                "policies": [{"type": "Percent", "value": 100, "periodSeconds": 1}],
            },
        },
    }


@pytest.mark.parametrize(
    ("scaler", "least", "most", "period"),
    [
        ({"minReplicas": 2, "maxReplicas": 5, "refreshPeriodInSeconds": 30}, 2, 5, 30),
        ({"minReplicas": 0}, 1, 10, 1),
    ],
    ids=str,
)
def test_bounds_and_period_are_those_of_the_service(
    scaler: dict[str, Any], least: int, most: int, period: int
) -> None:
    spec = spec_of(scaler)
    assert (spec["minReplicas"], spec["maxReplicas"]) == (least, most)
    policies = [policy for behaviour in spec["behavior"].values() for policy in behaviour["policies"]]
    assert {policy["periodSeconds"] for policy in policies} == {period}


@pytest.mark.parametrize(("target", "value"), [(40, "400m"), (1, "10m"), (0, "10m"), (100, "1")])
def test_target_is_a_quantity_in_canonical_form(target: int, value: str) -> None:
    (metric,) = spec_of({"targetUtilization": target})["metrics"]
    assert metric["pods"]["target"]["averageValue"] == value


def test_stabilisation_windows_are_those_of_the_service() -> None:
    behavior = spec_of({"scaleUpStabilizationSeconds": 30, "scaleDownStabilizationSeconds": 0})["behavior"]
    windows = {name: rules["stabilizationWindowSeconds"] for name, rules in behavior.items()}
    assert windows == {"scaleUp": 30, "scaleDown": 0}


@pytest.mark.parametrize(
    ("scaler", "has_requests_metric"), [({"utilizationMetric": "CPU"}, True), ({}, False)]
)
def test_cpu_is_a_choice_and_the_fallback(scaler: Json, has_requests_metric: bool) -> None:
    assert spec_of(scaler, has_requests_metric=has_requests_metric)["metrics"] == [CPU]
