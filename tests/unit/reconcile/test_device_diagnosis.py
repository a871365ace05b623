"""Sentences about unhealthy devices, from the status of pods."""

from __future__ import annotations

from typing import Any

import pytest

from modelyard.kube.types import Json
from modelyard.reconcile.device_diagnosis import describe_unhealthy, requests_devices

GPU = "nvidia.com/gpu"


def pod(name: str, *health: str, deleted: bool = False, phase: str = "Running", **device: str) -> Json:
    """Return a pod with devices of this health, named by their numbers."""
    devices = [
        {"resourceID": f"gpu-{number}", "health": text, **device} for number, text in enumerate(health)
    ]
    container = {"name": "scoring", "allocatedResourcesStatus": [{"name": GPU, "resources": devices}]}
    metadata = {"name": name} | ({"deletionTimestamp": "2026-01-01T00:00:00Z"} if deleted else {})
    return {"metadata": metadata, "status": {"phase": phase, "containerStatuses": [container]}}


def test_sentence_names_device_pod_and_way_out() -> None:
    assert describe_unhealthy([pod("a", "Healthy"), pod("b", "Healthy", "Unhealthy")]) == (
        f"device gpu-1 of {GPU} in pod b is unhealthy. The container runs on: delete the pod, and its"
        " replacement gets a healthy device"
    )


def test_sentence_has_the_message_of_the_device_and_the_number_of_others() -> None:
    message = describe_unhealthy([pod("b", "Unhealthy"), pod("a", "Unhealthy", "Unhealthy", message="ECC")])
    assert message is not None
    assert f"device gpu-0 of {GPU} in pod a is unhealthy (ECC), and 2 other devices" in message


@pytest.mark.parametrize(
    "healthy",
    [
        pod("a", "Healthy", "Unknown"),
        pod("a", "Unhealthy", deleted=True),
        pod("a", "Unhealthy", phase="Failed"),
        {"metadata": {"name": "a"}, "status": {"containerStatuses": [{"name": "scoring"}]}},
        {"metadata": {"name": "a"}},
    ],
    ids=["other health", "deleted", "failed", "without devices", "without status"],
)
def test_pod_without_an_unhealthy_device_has_no_sentence(healthy: Json) -> None:
    assert describe_unhealthy([healthy]) is None


@pytest.mark.parametrize(
    ("spec", "limits", "expected"),
    [
        ({"pod": {"resources": {"limits": {GPU: 1}}}}, {}, True),
        ({}, {GPU: 1}, True),
        ({"pod": {"resources": {"limits": {"memory": "1Gi"}}}}, {"cpu": "2"}, False),
        ({"pod": {"resources": None}}, {}, False),
        ({"pod": None}, {}, False),
    ],
)
def test_devices_are_extended_resources_of_the_service_or_of_the_platform(
    spec: Json, limits: dict[str, Any], expected: bool
) -> None:
    assert requests_devices(spec, limits) is expected
