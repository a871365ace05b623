"""Services with a pod whose volumes cannot be mounted."""

from __future__ import annotations

import pytest
from tests.unit.operator_harness import OperatorHarness, sample_objects

from modelyard.api import labels
from modelyard.kube.types import DEPLOYMENTS, EVENTS, PODS, Json
from modelyard.resources.serving import template_hash

NOTE = 'MountVolume.SetUp failed for volume "certificates" : secret "tls" not found'


def put_pod(harness: OperatorHarness, reason: str) -> None:
    mark = template_hash(harness.cluster.at(DEPLOYMENTS, "m"))
    annotations = {labels.TEMPLATE_HASH: mark}
    metadata = {"name": "m-1", "labels": labels.selector_of("m"), "annotations": annotations}
    container = {"name": "scoring", "image": "i", "state": {"waiting": {"reason": reason}}}
    harness.cluster.put(PODS, "default", {"metadata": metadata, "status": {"containerStatuses": [container]}})


def put_event(harness: OperatorHarness, name: str, **fields: str) -> None:
    body: Json = {"type": "Warning", "regarding": {"kind": "Pod", "name": "m-1"}} | fields
    harness.cluster.put(EVENTS, "default", {"metadata": {"name": name}} | body)


@pytest.fixture
async def rolling(harness: OperatorHarness) -> OperatorHarness:
    """An operator with a rollout whose pods do not become ready."""
    harness.apply(*sample_objects())
    harness.serves = False
    await harness.play(seconds=2)
    return harness


async def test_sentence_of_the_kubelet_is_in_the_status(rolling: OperatorHarness) -> None:
    put_pod(rolling, "ContainerCreating")
    put_event(rolling, "older", reason="FailedScheduling", note="no node")
    put_event(rolling, "newer", reason="FailedMount", note=NOTE)
    await rolling.play(seconds=10, alone=True)
    assert rolling.summary("Service") == ("m:1", "Running", "VolumeNotMounted")
    assert rolling.condition("Service", "Ready")["message"] == f"m:1: pod m-1 cannot mount a volume: {NOTE}"


async def test_service_goes_on_when_the_volume_is_mounted(rolling: OperatorHarness) -> None:
    put_pod(rolling, "ContainerCreating")
    put_event(rolling, "newer", reason="FailedMount", note=NOTE)
    await rolling.play(seconds=10, alone=True)
    rolling.serves = True
    rolling.roll("m")
    await rolling.play()
    assert rolling.summary("Service") == ("m:1", "Succeeded", "Serving")


@pytest.mark.parametrize(("state", "event"), [("ContainerCreating", "Pulled"), ("ImagePull", "FailedMount")])
async def test_other_pods_and_events_are_no_mount_failure(
    rolling: OperatorHarness, state: str, event: str
) -> None:
    put_pod(rolling, state)
    put_event(rolling, "newer", reason=event, note=NOTE)
    await rolling.play(seconds=10, alone=True)
    assert rolling.summary("Service") == ("m:1", "Running", "RollingOut")
