"""A build whose node is lost: Kubernetes deletes the pod, and no kubelet reports its end."""

from __future__ import annotations

import datetime as dt
from typing import Final

import pytest
from tests.unit.operator_harness import SYSTEM, OperatorHarness, sample_objects

from modelyard.kube.types import JOBS, PODS, Json
from modelyard.reconcile.builds.pods import leaving_pod
from modelyard.reconcile.timestamps import format_timestamp

GRACE: Final = dt.timedelta(seconds=30)  # of the pod, Kubernetes' default
CAUSE: Final = "Taint manager: deleting due to NoExecute taint"
NODE: Final = "node-7"


@pytest.fixture
async def building(harness: OperatorHarness) -> OperatorHarness:
    """An operator with a build whose pod runs on a node."""
    harness.apply(*sample_objects())
    await harness.settle()
    harness.start_pod(job_of(harness), "[Fetch] model m:1\n")
    harness.cluster.change(PODS, SYSTEM, pod_of(harness), {"spec": {"nodeName": NODE}})
    await harness.play(seconds=10, alone=True)
    return harness


def job_of(harness: OperatorHarness) -> str:
    (job,) = harness.cluster.all(JOBS)
    name: str = job["metadata"]["name"]
    return name


def pod_of(harness: OperatorHarness) -> str:
    return f"{job_of(harness)}-x"


def lose_node(harness: OperatorHarness) -> str:
    """Mark the pod as Kubernetes does 80 s after the loss of its node; return the name of the pod."""
    pod = pod_of(harness)
    condition = {"type": "DisruptionTarget", "status": "True", "message": CAUSE}
    harness.cluster.change(PODS, SYSTEM, pod, {"status": {"conditions": [condition]}}, "status")
    deletion = {"deletionTimestamp": format_timestamp(harness.clock() + GRACE)}
    harness.cluster.change(PODS, SYSTEM, pod, {"metadata": deletion})
    return pod


async def test_build_of_a_lost_node_starts_again_within_a_minute_of_the_deletion(
    building: OperatorHarness,
) -> None:
    first = job_of(building)
    pod = lose_node(building)
    await building.play(seconds=40, alone=True)
    assert building.summary("Image") == ("m:1", "Running", "Building")
    assert building.status("Image")["progress"] == f"pod {pod} is being deleted: {CAUSE}"
    await building.play(seconds=10, alone=True)
    assert building.summary("Image") == ("m:1", "Failed", "BuildNodeLost")
    assert building.condition("Image", "Stalled")["status"] == "False"
    message = building.status("Image")["error"]["message"]
    assert f"node {NODE} does not respond" in message
    assert CAUSE in message
    await building.play(seconds=30, alone=True)
    assert job_of(building) != first
    await building.play()
    assert building.summary("Image") == ("m:1", "Succeeded", "Built")


async def test_build_of_a_lost_node_starts_again_after_a_restart_of_the_operator(
    building: OperatorHarness,
) -> None:
    first = job_of(building)
    lose_node(building)
    await building.stop()
    building.clock.move_to(building.clock() + 2 * GRACE)
    await building.start()
    await building.settle()
    assert building.summary("Image") == ("m:1", "Failed", "BuildNodeLost")
    await building.play(seconds=30, alone=True)
    assert job_of(building) != first


async def test_nothing_reads_the_log_on_a_lost_node(building: OperatorHarness) -> None:
    lose_node(building)
    await building.settle()
    calls = len(building.cluster.calls)
    await building.play(seconds=60, alone=True)
    assert "log" not in {call.verb for call in building.cluster.calls[calls:]}


async def test_drained_build_goes_on_in_the_next_pod_of_its_job(building: OperatorHarness) -> None:
    job = job_of(building)
    building.cluster.remove(PODS, SYSTEM, lose_node(building))
    await building.play(seconds=10, alone=True)
    building.start_pod(job, "[Push] model m:1\n")
    await building.play(seconds=90, alone=True)
    assert job_of(building) == job
    assert building.summary("Image") == ("m:1", "Running", "Building")
    assert building.status("Image")["progress"].startswith("Push")


@pytest.mark.parametrize(
    "status",
    [
        {"phase": "Failed"},
        {"phase": "Succeeded"},
        {"containerStatuses": [{"name": "build", "state": {"terminated": {"exitCode": 143}}}]},
    ],
    ids=["failed", "succeeded", "terminated"],
)
def test_pod_that_has_ended_is_not_leaving(status: Json) -> None:
    metadata = {
        "name": "p",
        "labels": {"batch.kubernetes.io/job-name": "j"},
        "deletionTimestamp": "2026-01-01T00:00:00Z",
    }
    assert leaving_pod({"metadata": metadata, "status": status}) is None
    assert leaving_pod({"metadata": metadata}) is not None
