"""Resync: children that other clients changed while no watch reported it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import AsyncIterator

import pytest
from tests.unit.fake_api_server import Call
from tests.unit.operator_harness import OperatorHarness, sample_objects

from modelyard.kube.types import AUTOSCALERS, CORE_SERVICES, DEPLOYMENTS, SECRETS
from modelyard.settings import OperatorSettings


@pytest.fixture
async def stopped() -> AsyncIterator[OperatorHarness]:
    """A stopped operator with a resync every 600 s, in whose cluster everything named m is served."""
    harness = OperatorHarness(OperatorSettings(resync_seconds=600))
    await harness.start()
    harness.apply(*sample_objects())
    await harness.play(seconds=10)
    await harness.stop()
    yield harness
    await harness.stop()


async def test_deployment_changed_while_the_operator_was_away_is_reverted_at_the_start(
    stopped: OperatorHarness,
) -> None:
    template = {"spec": {"terminationGracePeriodSeconds": 1}}
    stopped.cluster.change(DEPLOYMENTS, "default", "m", {"spec": {"template": template}})
    await stopped.start()
    await stopped.play(seconds=1)
    spec = stopped.cluster.at(DEPLOYMENTS, "m")["spec"]["template"]["spec"]
    assert spec["terminationGracePeriodSeconds"] > 1


async def test_children_changed_while_the_operator_was_away_are_reverted_in_the_first_resync(
    stopped: OperatorHarness,
) -> None:
    second = stopped.cluster.at(SECRETS, "m-keys")["data"]["secondaryKey"]
    stopped.cluster.change(CORE_SERVICES, "default", "m", {"spec": {"type": "NodePort"}})
    stopped.cluster.change(SECRETS, "default", "m-keys", {"data": {"primaryKey": None}})
    await stopped.start()
    await stopped.play(seconds=1)
    assert stopped.cluster.at(CORE_SERVICES, "m")["spec"]["type"] == "NodePort"
    await stopped.play(seconds=601)
    assert stopped.cluster.at(CORE_SERVICES, "m")["spec"]["type"] == "ClusterIP"
    data = stopped.cluster.at(SECRETS, "m-keys")["data"]
    assert data["primaryKey"] != data["secondaryKey"] == second


async def test_all_children_are_read_in_the_first_resync_and_again_after_six_hours(
    stopped: OperatorHarness,
) -> None:
    reads: dict[str, list[float]] = defaultdict(list)
    started = stopped.clock.time()

    def note(_: int, call: Call) -> None:
        if call.verb == "get":
            reads[call.resource].append(stopped.clock.time() - started)

    stopped.cluster.fault = note
    before = len(stopped.cluster.writes)
    await stopped.start()
    await stopped.play(seconds=7 * 3600)
    assert reads[SECRETS.plural] == reads[CORE_SERVICES.plural] == [600.0, 6 * 3600 + 600.0]
    assert reads[DEPLOYMENTS.plural] == [0.0, 600.0, 6 * 3600 + 600.0]
    assert reads[AUTOSCALERS.plural] == [600.0, 6 * 3600 + 600.0]
    assert stopped.cluster.writes[before:] == []


async def test_resync_reverts_a_changed_autoscaler_without_generation() -> None:
    """Before Kubernetes 1.37 the events of an autoscaler do not show a changed spec."""
    harness = OperatorHarness(OperatorSettings(resync_seconds=600))
    harness.cluster.without_generation |= {AUTOSCALERS}
    await harness.start()
    harness.apply(*sample_objects())
    await harness.play(seconds=10)
    await harness.play(seconds=700)
    harness.cluster.change(AUTOSCALERS, "default", "m", {"spec": {"maxReplicas": 99}})
    harness.cluster.calls.clear()
    await harness.play(seconds=10)
    assert harness.cluster.calls == []
    await harness.play(seconds=700)
    assert harness.cluster.at(AUTOSCALERS, "m")["spec"]["maxReplicas"] < 99
    await harness.stop()
