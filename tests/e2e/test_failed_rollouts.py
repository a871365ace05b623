"""Rollouts of versions that do not come up: the old version stays in place, and the status has the reason."""

from __future__ import annotations

from collections.abc import Callable

import httpx
import pytest
from tests.support.cluster import Kubectl
from tests.support.objects import service
from tests.support.status import condition, status, wait_for_status

Score = Callable[..., httpx.Response]
Make = Callable[..., str]
TOO_MUCH = {"cpu": "900", "memory": "64Mi"}


@pytest.fixture(scope="module")
def crowded(shared: Kubectl) -> str:
    """A Service that fits on no node; its deadline passes while other tests run."""
    shared.apply(service("crowded", "one", containerResourceReservation=TOO_MUCH))
    return "crowded"


@pytest.mark.usefixtures("crowded")
def test_crashing_version_leaves_the_old_one_serving(
    shared: Kubectl, make_service: Make, score: Score
) -> None:
    name = make_service("one")
    shared.patch("msvc", name, {"spec": {"imageId": "broken"}})
    told = wait_for_status(shared, "msvc", name, 120, state="Failed", version=2)
    error = told["error"]
    assert error["code"] == "ContainerCrashed"
    assert "init() failed" in error["message"]
    assert "the weights are not what they seem" in "".join(detail["message"] for detail in error["details"])
    assert condition(told, "Stalled")["status"] == "True"
    assert condition(told, "Available")["status"] == "True"
    description = shared("describe", "msvc", name)
    for text in (
        told["scoringUri"], f"{name}:2", "broken:1", "Ready Replicas:", "ContainerCrashed",
        "the weights are not what they seem", "Warning",
    ):  # fmt: skip
        assert text in description, description
    assert score(shared, name).json() == "one"
    shared.patch("msvc", name, {"spec": {"imageId": "two"}})
    told = wait_for_status(shared, "msvc", name, 120, state="Succeeded", version=3)
    assert "error" not in told
    assert score(shared, name).json() == "two"


def test_timeline_of_image_and_service_is_in_order(shared: Kubectl, make_service: Make) -> None:
    built = status(shared, "img", "one")["timeline"]
    assert built["seen"] <= built["fetched"] <= built["pushed"]
    assert built.get("built", built["fetched"]) <= built["pushed"]  # absent with a reused environment
    times = status(shared, "msvc", make_service("one"))["timeline"]
    assert times["seen"] <= times["pulled"] <= times["firstAnswer"] <= times["ready"]


def test_service_that_fits_on_no_node_reports_it(shared: Kubectl, crowded: str) -> None:
    wait_for_status(
        shared,
        "msvc",
        crowded,
        60,
        also=lambda told: "no node has room" in condition(told, "Ready").get("message", ""),
    )
    told = wait_for_status(shared, "msvc", crowded, 120, state="Failed")
    assert told["error"]["code"] == "Unschedulable"
    assert "Insufficient cpu" in told["error"]["message"]
    assert condition(told, "Available")["status"] == "False"
    shared.patch("msvc", crowded, {"spec": {"containerResourceReservation": {"cpu": "10m"}}})
    wait_for_status(shared, "msvc", crowded, 120, state="Succeeded")
    assert status(shared, "msvc", crowded)["readyReplicas"] == 1
