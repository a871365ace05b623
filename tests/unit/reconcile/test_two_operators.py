"""Two operators of different settings at the same time, as after the loss of the node of one of them."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from tests.unit.fake_api_server import WRITES
from tests.unit.operator_harness import OperatorHarness, sample_objects

from modelyard.settings import OperatorSettings, ScoringSettings

OTHER = OperatorSettings(scoring=ScoringSettings(drain_seconds=7, roll_on_upgrade=True))


@pytest.fixture
async def second(harness: OperatorHarness) -> AsyncIterator[OperatorHarness]:
    """An operator of other settings in the same cluster."""
    second = OperatorHarness(OTHER)
    second.cluster, second.clock, second.registry = harness.cluster, harness.clock, harness.registry
    await second.start()
    yield second
    await second.stop()


async def test_operators_of_different_settings_agree_after_one_roll(
    harness: OperatorHarness, second: OperatorHarness
) -> None:
    harness.apply(*sample_objects())
    await harness.play()
    await second.settle()
    assert harness.summary("Service") == ("m:1", "Succeeded", "Serving")
    before = len(harness.cluster.calls)
    for _ in range(60):
        await harness.play(seconds=60)
        await second.settle()
    assert [call for call in harness.cluster.calls[before:] if call.verb in WRITES] == []
    rolls = [call for call in harness.cluster.calls if (call.verb, call.resource) == ("patch", "deployments")]
    assert len(rolls) <= 1
    assert harness.builds + second.builds == 1
    assert harness.summary("Service") == ("m:1", "Succeeded", "Serving")
