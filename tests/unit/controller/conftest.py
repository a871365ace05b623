from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from tests.unit.operator_harness import OperatorHarness, sample_objects

from modelyard.controller.pod_sweep import SWEEP_SECONDS


@pytest.fixture
async def swept() -> AsyncIterator[OperatorHarness]:
    """An operator that sweeps every 10 s, in whose cluster everything named m is served."""
    harness = OperatorHarness()
    harness.sweep_seconds = SWEEP_SECONDS
    await harness.start()
    harness.apply(*sample_objects())
    await harness.play(seconds=15)
    assert harness.summary("Service") == ("m:1", "Succeeded", "Serving")
    yield harness
    await harness.stop()
