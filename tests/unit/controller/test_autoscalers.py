"""Autoscalers and disruption budgets: changes by other clients, and the frequent events of their status."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from tests.unit.operator_harness import OperatorHarness, image, manifest, model, service

from modelyard.kube.types import AUTOSCALERS, DISRUPTION_BUDGETS, ApiResource

BOTH = pytest.mark.parametrize("resource", [AUTOSCALERS, DISRUPTION_BUDGETS], ids=lambda one: one.plural)


@pytest.fixture
async def scaled() -> AsyncIterator[OperatorHarness]:
    """An operator without a resync, and a Service with an autoscaler and a disruption budget."""
    harness = OperatorHarness()
    await harness.start()
    scaler = {"autoscaleEnabled": True, "minReplicas": 2, "maxReplicas": 4}
    harness.apply(model(), manifest(), image(), service(autoScaler=scaler))
    await harness.play(seconds=10)
    yield harness
    await harness.stop()


@BOTH
async def test_deleted_child_is_created_again_at_once(scaled: OperatorHarness, resource: ApiResource) -> None:
    scaled.cluster.remove(resource, "default", "m")
    await scaled.settle()
    assert scaled.cluster.at(resource, "m")["spec"]


@BOTH
async def test_changed_spec_is_reverted_at_once(scaled: OperatorHarness, resource: ApiResource) -> None:
    field, value = ("maxReplicas", 99) if resource == AUTOSCALERS else ("maxUnavailable", "100%")
    before = scaled.cluster.at(resource, "m")["spec"][field]
    scaled.cluster.change(resource, "default", "m", {"spec": {field: value}})
    await scaled.settle()
    assert scaled.cluster.at(resource, "m")["spec"][field] == before


@BOTH
async def test_new_status_causes_no_call(scaled: OperatorHarness, resource: ApiResource) -> None:
    scaled.cluster.calls.clear()
    for number in range(10):
        status = {"currentReplicas": number, "currentHealthy": number}
        scaled.cluster.change(resource, "default", "m", {"status": status}, "status")
        await scaled.settle()
    assert scaled.cluster.calls == []
