"""Events about state changes."""

from __future__ import annotations

from tests.unit.fake_api_server import Call
from tests.unit.operator_harness import (
    OperatorHarness,
    sample_objects,
)

from modelyard.kube.errors import Rejected

NOW = "2026-01-01T00:00:00Z"


async def test_event_that_is_rejected_is_dropped(harness: OperatorHarness) -> None:
    def refuse(_: int, call: Call) -> None:
        if call.resource == "events":
            raise Rejected("no")

    harness.cluster.fault = refuse
    harness.apply(*sample_objects())
    await harness.play()
    assert harness.summary("Service") == ("m:1", "Succeeded", "Serving")
