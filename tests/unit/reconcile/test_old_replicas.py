"""Replicas of the version before: a Service is Ready once they have stopped."""

from __future__ import annotations

import datetime as dt

import pytest
from tests.unit.operator_harness import OperatorHarness, sample_objects

from modelyard.kube.types import DEPLOYMENTS
from modelyard.reconcile.timestamps import format_timestamp
from modelyard.settings import OperatorSettings, ScoringSettings

SERVING = ("Succeeded", "True", "True")
STOPPING = ("Succeeded", "False", "True")


def end_rollout(harness: OperatorHarness, *, number: int = 2, fast: float = 0) -> None:
    """End a rollout as the Deployment controller does. Its clock is `fast` seconds ahead."""
    numbered = {"metadata": {"annotations": {"deployment.kubernetes.io/revision": str(number)}}}
    harness.cluster.change(DEPLOYMENTS, "default", "m", numbered)
    harness.roll("m", ended=format_timestamp(harness.clock() + dt.timedelta(seconds=fast)))


async def roll(harness: OperatorHarness, *, fast: float = 0) -> None:
    """Roll out another version."""
    harness.change("Service", maxConcurrentRequestsPerContainer=9)
    await harness.settle()
    end_rollout(harness, fast=fast)
    await harness.settle()


async def pass_seconds(harness: OperatorHarness, seconds: float) -> None:
    end = harness.clock() + dt.timedelta(seconds=seconds)
    await harness.play(seconds, alone=True)
    harness.clock.move_to(end)
    await harness.settle()


def state(harness: OperatorHarness) -> tuple[str, str, str]:
    """Return state, Ready and Available of the Service."""
    ready, available = (harness.condition("Service", type_)["status"] for type_ in ("Ready", "Available"))
    return harness.status("Service")["state"], ready, available


@pytest.mark.parametrize("fast", [-2, 0, 3600], ids=["slow clock", "same clock", "fast clock"])
async def test_service_is_ready_once_the_replicas_of_the_version_before_have_stopped(
    serving: OperatorHarness, fast: float
) -> None:
    await roll(serving, fast=fast)
    assert state(serving) == STOPPING
    message = serving.condition("Service", "Ready")["message"]
    assert message.endswith("replicas of the version before stop, and may still answer requests")
    await pass_seconds(serving, 5 + min(fast, 0))
    assert state(serving) == STOPPING
    await pass_seconds(serving, 1)
    assert state(serving) == SERVING
    assert serving.events("Serving") == 2


async def test_image_is_ready_while_the_replicas_of_the_version_before_stop(
    serving: OperatorHarness,
) -> None:
    await roll(serving)
    assert serving.condition("Image", "Ready")["status"] == "True"


async def test_new_operator_waits_for_the_rest_of_the_time(serving: OperatorHarness) -> None:
    await roll(serving)
    await pass_seconds(serving, 4)
    await serving.stop()
    await serving.start()
    await serving.settle()
    assert state(serving) == STOPPING
    await pass_seconds(serving, 2)
    assert state(serving) == SERVING


async def test_first_replicas_replace_none(harness: OperatorHarness) -> None:
    harness.serves = False
    harness.apply(*sample_objects())
    await harness.play(seconds=3)
    end_rollout(harness, number=1)
    await harness.settle()
    assert state(harness) == SERVING


async def test_change_of_replicas_replaces_none(serving: OperatorHarness) -> None:
    await roll(serving)
    await pass_seconds(serving, 60)
    ended = serving.cluster.at(DEPLOYMENTS, "m")["status"]["conditions"][0]["lastUpdateTime"]
    serving.change("Service", numReplicas=2)
    await serving.settle()
    serving.roll("m", ended=ended)
    await serving.settle()
    assert serving.summary("Service") == ("m:3", "Succeeded", "Serving")
    assert state(serving) == SERVING


async def test_new_pods_of_the_same_version_answer_like_the_old_ones(serving: OperatorHarness) -> None:
    await pass_seconds(serving, 60)
    end_rollout(serving)
    await serving.settle()
    assert state(serving) == SERVING


async def test_replicas_that_stop_at_once_are_not_waited_for() -> None:
    harness = OperatorHarness(OperatorSettings(scoring=ScoringSettings(pre_stop_seconds=0)))
    await harness.start()
    harness.apply(*sample_objects())
    await harness.play()
    await roll(harness)
    assert state(harness) == SERVING
    await harness.stop()
