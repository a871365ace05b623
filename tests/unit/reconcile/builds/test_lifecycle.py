"""The progress of a running build, or the reason why it does not start."""

from __future__ import annotations

import pytest
from tests.unit.operator_harness import (
    SYSTEM,
    OperatorHarness,
    sample_objects,
)

from modelyard.kube.errors import KubeError
from modelyard.kube.types import EVENTS, JOBS, PODS, Json
from modelyard.reconcile.builds.build_log import POLL_SECONDS

LOG = "[Fetch] model m:1: https://h/1\n[Push] model m:1: 40 MiB of 100 MiB\n"


@pytest.fixture
async def building(harness: OperatorHarness) -> OperatorHarness:
    """An operator with a started build whose Job has no pod."""
    harness.apply(*sample_objects())
    await harness.settle()
    return harness


def start_pod(harness: OperatorHarness, **status: object) -> str:
    (job,) = harness.cluster.all(JOBS)
    name: str = job["metadata"]["name"]
    metadata = {"name": f"{name}-x", "labels": {"batch.kubernetes.io/job-name": name}}
    body = harness.cluster.put(PODS, SYSTEM, {**PODS.header(), "metadata": metadata})
    body["status"] = status
    return f"{name}-x"


def warn(harness: OperatorHarness, resource: str, name: str, note: str) -> None:
    about = {"kind": resource, "name": name}
    body: Json = {
        "metadata": {"name": f"{name}.{resource}"},
        "type": "Warning",
        "regarding": about,
        "note": note,
    }
    harness.cluster.put(EVENTS, SYSTEM, body)


async def next_progress(harness: OperatorHarness) -> str | None:
    """Return the progress in the status after the next poll."""
    await harness.play(seconds=6, alone=True)
    progress: str | None = harness.status("Image").get("progress")
    return progress


async def test_progress_has_the_step_and_its_bytes(building: OperatorHarness) -> None:
    building.cluster.logs[start_pod(building, phase="Running")] = LOG
    assert await next_progress(building) == "Push, model m:1: 40 MiB of 100 MiB"
    assert building.summary("Image") == ("m:1", "Running", "Building")


async def test_progress_is_removed_at_the_end_of_the_build(building: OperatorHarness) -> None:
    building.cluster.logs[start_pod(building, phase="Running")] = LOG
    assert await next_progress(building)
    (job,) = building.cluster.all(JOBS)
    building.cluster.remove(PODS, SYSTEM, f"{job['metadata']['name']}-x")
    await building.play()
    assert building.summary("Image") == ("m:1", "Succeeded", "Built")
    assert "progress" not in building.status("Image")


async def test_unchanged_progress_is_polled_but_not_written(
    building: OperatorHarness,
) -> None:
    building.cluster.logs[start_pod(building, phase="Running")] = LOG
    await next_progress(building)
    writes = len(building.cluster.writes)
    calls = len(building.cluster.calls)
    await building.play(seconds=60, alone=True)
    assert len(building.cluster.writes) == writes
    looks = [call for call in building.cluster.calls[calls:] if call.verb == "log"]
    assert len(looks) <= 60 / POLL_SECONDS


async def test_progress_has_the_rejection_by_admission(building: OperatorHarness) -> None:
    (job,) = building.cluster.all(JOBS)
    name = job["metadata"]["name"]
    warn(building, "Job", name, 'pods "x" is forbidden: violates PodSecurity "restricted:latest": hostPath')
    warn(building, "Job", "another", "nothing to do with it")
    assert "violates PodSecurity" in (await next_progress(building) or "")


async def test_progress_has_the_reason_of_an_unschedulable_pod(building: OperatorHarness) -> None:
    no_room = {"type": "PodScheduled", "status": "False", "message": "0/3 nodes are available"}
    start_pod(building, phase="Pending", conditions=[no_room])
    assert "0/3 nodes are available" in (await next_progress(building) or "")


async def test_progress_has_the_reason_of_a_missing_volume(building: OperatorHarness) -> None:
    pod = start_pod(building, phase="Pending")
    warn(building, "Pod", pod, 'MountVolume.SetUp failed for volume "pip": secret "pip" not found')
    assert 'secret "pip" not found' in (await next_progress(building) or "")


async def test_new_pending_pod_has_no_progress(building: OperatorHarness) -> None:
    start_pod(building, phase="Pending")
    assert await next_progress(building) is None


async def test_failed_read_of_pods_does_not_fail_the_build(building: OperatorHarness) -> None:
    def refuse(_: int, call: object) -> None:
        if getattr(call, "verb", "") == "list":
            raise KubeError("no")

    building.cluster.fault = refuse
    assert await next_progress(building) is None
    assert building.summary("Image") == ("m:1", "Running", "Building")
