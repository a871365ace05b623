"""The readiness gate: an object is not ready before its dependents follow its newest version."""

from __future__ import annotations

from typing import Any

import pytest
from tests.unit.operator_harness import (
    OperatorHarness,
    manifest,
)

from modelyard.api.resources import CUSTOM_RESOURCES
from modelyard.api.revision import Revision
from modelyard.api.status import State
from modelyard.kube.types import Json, Key
from modelyard.reconcile.cache import Cache
from modelyard.reconcile.outcome import Outcome, failed
from modelyard.reconcile.readiness import gate_readiness

SECOND = Revision(Key("Model", "default", "m"), 2, "u", 1, "", "", (), {})
REGISTERED = Outcome(State.SUCCEEDED, "Registered", "m:2 is registered", SECOND)


def dependent(refers: str, in_status: str, ready: str = "True", **metadata: Any) -> Json:
    named = {"name": "f", "namespace": "default", "uid": "v", "generation": 1, "resourceVersion": "5"}
    status = {"modelIds": [in_status], "conditions": [{"type": "Ready", "status": ready}]}
    return manifest(modelIds=[refers]) | {"metadata": named | metadata, "status": status}


def gated(body: Json, outcome: Outcome = REGISTERED) -> Outcome:
    cache = Cache()
    cache.objects.put("Manifest", body)
    return gate_readiness(cache, outcome)


def test_object_is_not_ready_while_a_dependent_lags() -> None:
    outcome = gated(dependent("m", "m:1"))
    assert (outcome.state, outcome.ready) == (State.SUCCEEDED, False)
    assert outcome.message == "m:2 is registered; Manifest f has yet to follow"
    assert outcome.requeue_after


@pytest.mark.parametrize(
    "body",
    [
        dependent("m", "m:2"),
        dependent("m:1", "m:1"),
        dependent("other", "other:1"),
        dependent("m", "m:1", ready="False"),
        dependent("m", "m:1", deletionTimestamp="2026-01-01T00:00:00Z"),
    ],
    ids=["followed", "pinned", "follows another Model", "not ready", "being deleted"],
)
def test_object_is_ready_despite_this_dependent(body: Json) -> None:
    assert gated(body) == REGISTERED


def test_failure_is_not_held_back() -> None:
    outcome = failed("NameTaken", "why", SECOND)
    assert gated(dependent("m", "m:1"), outcome) == outcome


async def test_all_objects_of_a_change_become_ready(serving: OperatorHarness) -> None:
    serving.change("Model", url="https://h/2")
    await serving.play()
    said = [
        condition["message"]
        for event in serving.cluster.history
        for condition in event.body.get("status", {}).get("conditions", ())
        if event.resource == CUSTOM_RESOURCES["Model"]
        and condition["type"] == "Reconciling"
        and condition["status"] == "True"
    ]
    assert said == ["m:2 is registered; Manifest m has yet to follow"]
    for kind in CUSTOM_RESOURCES:
        assert serving.condition(kind, "Ready")["status"] == "True"
