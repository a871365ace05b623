"""The status: one patch for each change, conditions by kstatus, events on a change of state only."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pytest
from tests.unit.fake_api_server import Call
from tests.unit.operator_harness import (
    OperatorHarness,
    model,
    sample_objects,
)

from modelyard.api.resources import CUSTOM_RESOURCES
from modelyard.api.status import State
from modelyard.kube.types import EVENTS, Key
from modelyard.reconcile.objects import CustomObject
from modelyard.reconcile.outcome import Outcome, failed, waiting
from modelyard.reconcile.status_writer import (
    desired_status,
    write_status,
)

NOW = "2026-01-01T00:00:00Z"


def custom_object(**status: Any) -> CustomObject:
    return CustomObject(Key("Model", "default", "m"), "u", 7, 1, None, False, {}, status)


@pytest.mark.parametrize(
    ("outcome", "ready", "reconciling", "stalled"),
    [
        (waiting("ModelNotFound", "why"), "False", "True", "False"),
        (waiting("ImageFailed", "why", stalled=True), "False", "False", "True"),
        (Outcome(State.RUNNING, "Building", "why"), "False", "True", "False"),
        (Outcome(State.CANCELLED, "Cancelled", "why"), "False", "False", "True"),
        (Outcome(State.SUCCEEDED, "Built", "why"), "True", "False", "False"),
        (Outcome(State.SUCCEEDED, "Unavailable", "why", ready=False), "False", "True", "False"),
        (failed("PipFailed", "why"), "False", "False", "True"),
        (failed("RegistryUnavailable", "why", retrying=True), "False", "True", "False"),
    ],
    ids=str,
)
def test_conditions_follow_kstatus(outcome: Outcome, ready: str, reconciling: str, stalled: str) -> None:
    status = desired_status(custom_object(), outcome, NOW)
    said = {c["type"]: c for c in status["conditions"]}
    assert {type_: c["status"] for type_, c in said.items()} == {
        "Ready": ready,
        "Reconciling": reconciling,
        "Stalled": stalled,
    }
    assert {(c["reason"], c["message"]) for c in said.values()} == {(outcome.reason, "why")}
    assert {c["observedGeneration"] for c in said.values()} == {status["observedGeneration"]} == {7}
    assert status["state"] == outcome.state
    assert ("error" in status) == (outcome.state is State.FAILED)


def test_empty_fields_are_left_out() -> None:
    fields: dict[str, Any] = {"a": None, "b": [], "c": "", "replicas": 0}
    status = desired_status(custom_object(), Outcome(State.RUNNING, "R", "r", fields=fields), NOW)
    assert status.keys() == {"observedGeneration", "state", "replicas", "conditions"}


async def test_new_state_takes_one_patch_and_one_event(harness: OperatorHarness) -> None:
    harness.apply(model())
    await harness.settle()
    assert [(c.verb, c.resource) for c in harness.cluster.writes] == [
        ("create", "controllerrevisions"),
        ("patch", "models"),
        ("create", "events"),
    ]
    (event,) = harness.cluster.all(EVENTS)
    assert (event["reason"], event["type"], event["note"]) == ("Registered", "Normal", "m:1 is registered")
    assert event["regarding"]["uid"] == harness.cluster.at(CUSTOM_RESOURCES["Model"], "m")["metadata"]["uid"]


async def test_unchanged_state_records_no_event(serving: OperatorHarness) -> None:
    before = len(serving.cluster.all(EVENTS))
    serving.change("Model", description="other words")
    serving.cluster.change(
        CUSTOM_RESOURCES["Model"], "default", "m", {"status": {"state": "Succeeded", "id": "m:1"}}, "status"
    )
    await serving.play()
    assert serving.status("Model")["observedGeneration"] == 2
    assert len(serving.cluster.all(EVENTS)) == before


async def test_status_changed_by_another_client_is_reverted(serving: OperatorHarness) -> None:
    before = serving.status("Image")
    serving.cluster.change(
        CUSTOM_RESOURCES["Image"], "default", "m", {"status": {"state": None, "error": {}}}, "status"
    )
    await serving.play()
    assert serving.status("Image") == before


async def test_error_is_removed_with_its_cause(serving: OperatorHarness) -> None:
    runtime = {"runtimeType": "SparkPython", "properties": {"pythonVersion": None}}
    serving.change("Manifest", targetRuntime=runtime)
    await serving.play()
    assert serving.status("Image")["error"]["code"] == "RuntimeNotSupported"
    serving.change("Manifest", targetRuntime={"runtimeType": "Python"})
    await serving.play()
    assert "error" not in serving.status("Image")


async def test_concurrent_edit_is_a_conflict_and_is_not_lost(harness: OperatorHarness) -> None:
    def edit(_: int, call: Call) -> None:
        if call == Call("patch", "models", "m", "status"):
            harness.cluster.fault = lambda number, call: None
            harness.change("Model", url="https://h/2")

    harness.cluster.fault = edit
    harness.apply(model())
    await harness.play()
    assert harness.summary("Model")[0] == "m:2"
    assert harness.status("Model")["observedGeneration"] == 2


async def test_status_of_a_deleted_object_is_dropped(harness: OperatorHarness) -> None:
    harness.apply(model())
    await harness.settle()
    known = harness.cache.objects.get(Key("Model", "default", "m"))
    assert known
    harness.cluster.remove(CUSTOM_RESOURCES["Model"], "default", "m")
    await write_status(harness.ctx, known, failed("Any", "thing"))
    await harness.settle()
    assert (CUSTOM_RESOURCES["Model"], "default", "m") not in harness.cluster.objects


async def test_conditions_keep_their_transition_time_during_a_build(harness: OperatorHarness) -> None:
    harness.apply(*sample_objects())
    await harness.settle()
    began = harness.condition("Image", "Reconciling")["lastTransitionTime"]
    harness.clock.move(60)
    await harness.play()
    assert harness.condition("Image", "Ready")["lastTransitionTime"] == (
        dt.datetime.fromisoformat(began) + dt.timedelta(seconds=60)
    ).strftime("%Y-%m-%dT%H:%M:%SZ")
    assert harness.condition("Image", "Stalled")["lastTransitionTime"] == began
