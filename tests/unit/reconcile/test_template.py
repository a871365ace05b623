"""Pod templates: a new release or changed settings roll running pods only on request, and in stages."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import orjson
import pytest
from tests.unit.operator_harness import OperatorHarness, image, manifest, model, service

from modelyard.api import labels
from modelyard.api.names import ROLL_ON_UPGRADE
from modelyard.api.resources import CUSTOM_RESOURCES
from modelyard.kube.types import DEPLOYMENTS, Json
from modelyard.resources.pod_template import origin_of
from modelyard.resources.serving import template_hash
from modelyard.settings import ScoringSettings

NAMES = ("a", "b", "c", "d")
LATE = {"type": "Progressing", "status": "False", "reason": "ProgressDeadlineExceeded", "message": "late"}


async def upgrade(harness: OperatorHarness, **scoring: Any) -> None:
    """Restart the operator with settings that build another pod template."""
    await harness.stop()
    settings = ScoringSettings(drain_seconds=40, **scoring)
    harness.settings = harness.settings.model_copy(update={"scoring": settings})
    await harness.start()
    await harness.settle()


def deployment(harness: OperatorHarness, name: str = "m") -> Json:
    return harness.cluster.at(DEPLOYMENTS, name)


def template(harness: OperatorHarness, name: str = "m") -> str:
    return template_hash(deployment(harness, name))


def writes(harness: OperatorHarness) -> int:
    return len([call for call in harness.cluster.calls if call.verb in {"create", "patch", "delete"}])


def forget_spec(harness: OperatorHarness) -> None:
    """Remove the annotations that releases up to 0.2.0 did not write."""
    annotations = {labels.APPLIED_SPEC: None, labels.TEMPLATE_INPUTS: None}
    harness.cluster.change(DEPLOYMENTS, "default", "m", {"metadata": {"annotations": annotations}})


def grace_period(harness: OperatorHarness) -> int:
    seconds: int = deployment(harness)["spec"]["template"]["spec"]["terminationGracePeriodSeconds"]
    return seconds


async def test_changed_settings_write_nothing(serving: OperatorHarness) -> None:
    before = writes(serving)
    await upgrade(serving)
    await serving.play()
    assert writes(serving) == before
    assert serving.summary("Service") == ("m:1", "Succeeded", "Serving")


async def test_next_version_gets_the_present_template(serving: OperatorHarness) -> None:
    await upgrade(serving)
    serving.change("Service", maxConcurrentRequestsPerContainer=2)
    await serving.play()
    assert grace_period(serving) == 50
    assert serving.summary("Service") == ("m:2", "Succeeded", "Serving")


async def test_scaling_after_an_upgrade_keeps_the_template(serving: OperatorHarness) -> None:
    before = template(serving)
    await upgrade(serving)
    serving.change("Service", numReplicas=3)
    await serving.play()
    assert template(serving) == before
    assert deployment(serving)["spec"]["replicas"] == 3
    serving.change("Service", numReplicas=None)
    await serving.play()
    assert template(serving) == before


def version_of_pods(harness: OperatorHarness) -> str | None:
    return origin_of(deployment(harness)["spec"]["template"]).version


async def test_pods_have_the_version_that_started_them(serving: OperatorHarness) -> None:
    serving.change("Service", numReplicas=3)
    await serving.play()
    assert (version_of_pods(serving), serving.summary("Service")[0]) == ("1", "m:2")
    serving.change("Service", maxConcurrentRequestsPerContainer=2)
    await serving.play()
    assert (version_of_pods(serving), serving.summary("Service")[0]) == ("3", "m:3")


async def test_pods_of_a_release_without_version_labels_are_not_replaced(serving: OperatorHarness) -> None:
    generation = deployment(serving)["metadata"]["generation"]
    forget_version(serving)
    await serving.stop()
    await serving.start()
    await serving.play()
    serving.change("Service", description="text")
    await serving.play()
    assert (version_of_pods(serving), deployment(serving)["metadata"]["generation"]) == (None, generation + 1)


def forget_version(harness: OperatorHarness) -> None:
    """Make the Deployment that of a release whose pods had no version label."""
    body = deployment(harness)
    recorded = orjson.loads(body["metadata"]["annotations"][labels.APPLIED_SPEC])
    del recorded["template"]["metadata"]["labels"][labels.POD_VERSION]
    change = {
        "metadata": {"annotations": {labels.APPLIED_SPEC: orjson.dumps(recorded).decode()}},
        "spec": {"template": {"metadata": {"labels": {labels.POD_VERSION: None}}}},
    }
    harness.cluster.change(DEPLOYMENTS, "default", "m", change)


async def test_changed_template_is_restored_to_that_of_its_version(serving: OperatorHarness) -> None:
    before = template(serving)
    await upgrade(serving)
    change = {"template": {"spec": {"terminationGracePeriodSeconds": 1}}}
    serving.cluster.change(DEPLOYMENTS, "default", "m", {"spec": change})
    await serving.play()
    assert (grace_period(serving), template(serving)) == (40, before)


async def test_template_that_changed_while_no_operator_ran_is_restored(serving: OperatorHarness) -> None:
    await serving.stop()
    change = {"template": {"spec": {"terminationGracePeriodSeconds": 1}}}
    serving.cluster.change(DEPLOYMENTS, "default", "m", {"spec": change})
    await serving.start()
    await upgrade(serving)
    await serving.play()
    assert grace_period(serving) == 40


async def test_deleted_deployment_is_created_with_the_present_template(serving: OperatorHarness) -> None:
    await upgrade(serving)
    serving.cluster.remove(DEPLOYMENTS, "default", "m")
    await serving.play()
    assert grace_period(serving) == 50


async def test_template_of_release_0_2_0_is_kept_and_then_restored(serving: OperatorHarness) -> None:
    before = template(serving)
    forget_spec(serving)
    await upgrade(serving)
    await serving.play()
    generation = deployment(serving)["metadata"]["generation"]
    assert (template(serving), generation) == (before, 1)
    change = {"template": {"spec": {"terminationGracePeriodSeconds": 1}}}
    serving.cluster.change(DEPLOYMENTS, "default", "m", {"spec": change})
    await serving.play()
    assert (grace_period(serving), template(serving)) == (40, before)


async def test_unchanged_template_of_release_0_2_0_is_not_written(serving: OperatorHarness) -> None:
    forget_spec(serving)
    await serving.settle()
    before = writes(serving)
    await serving.stop()
    await serving.start()
    await serving.play()
    assert writes(serving) == before


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"template": 1}'])
async def test_unreadable_spec_is_replaced_by_the_present_one(serving: OperatorHarness, text: str) -> None:
    annotations = {labels.APPLIED_SPEC: text}
    serving.cluster.change(DEPLOYMENTS, "default", "m", {"metadata": {"annotations": annotations}})
    await upgrade(serving)
    await serving.play()
    recorded = deployment(serving)["metadata"]["annotations"][labels.APPLIED_SPEC]
    assert grace_period(serving) == 50
    assert template_hash({"spec": orjson.loads(recorded)}) == template(serving)


# staged rolls


async def serve_all(harness: OperatorHarness) -> None:
    harness.apply(model(), manifest(), image(), *(service(name) for name in NAMES))
    await harness.play()


def rolled(harness: OperatorHarness, names: Iterable[str] = NAMES) -> set[str]:
    """Return the Services whose Deployment has the template of the present settings."""
    specs = {name: deployment(harness, name)["spec"]["template"]["spec"] for name in names}
    return {name for name, spec in specs.items() if spec["terminationGracePeriodSeconds"] == 50}


def waiting(harness: OperatorHarness) -> dict[str, str]:
    """Return the Services with the condition RollPending, with its reason."""
    conditions = [(name, item) for name in NAMES for item in harness.status("Service", name)["conditions"]]
    return {name: item["reason"] for name, item in conditions if item["type"] == "RollPending"}


def mark_late(harness: OperatorHarness, name: str) -> None:
    harness.cluster.change(DEPLOYMENTS, "default", name, {"status": {"conditions": [LATE]}}, "status")


async def fail_first_roll(harness: OperatorHarness) -> str:
    """Roll a changed template to one Service at a time until the first fails; return its name."""
    await serve_all(harness)
    harness.serves = False
    await upgrade(harness, roll_on_upgrade=True, concurrent_rolls=1)
    (first,) = rolled(harness)
    await harness.play(seconds=3)
    mark_late(harness, first)
    await harness.play(seconds=120, alone=True)
    return first


async def test_asked_rolls_are_limited_until_the_last_is_available(harness: OperatorHarness) -> None:
    await serve_all(harness)
    harness.serves = False
    await upgrade(harness, roll_on_upgrade=True, concurrent_rolls=2)
    first = rolled(harness)
    assert len(first) == 2
    assert waiting(harness) == dict.fromkeys(set(NAMES) - first, "WaitingForTurn")
    (one, other) = sorted(first)
    harness.roll(one)
    await harness.settle()
    assert len(rolled(harness)) == 3
    harness.serves = True
    await harness.play()
    assert rolled(harness) == set(NAMES)
    assert waiting(harness) == {}
    assert harness.summary("Service", other) == (f"{other}:1", "Succeeded", "Serving")


async def test_failed_roll_stops_the_others_with_its_reason(harness: OperatorHarness) -> None:
    first = await fail_first_roll(harness)
    others = set(NAMES) - {first}
    assert rolled(harness) == {first}
    assert waiting(harness) == dict.fromkeys(others, "RollsStopped")
    message = harness.condition("Service", "RollPending", min(others))["message"]
    assert f"Service {first} failed" in message
    assert "late" in message
    assert all(harness.condition("Service", "Ready", name)["status"] == "True" for name in others)
    harness.serves = True
    await harness.play()
    assert rolled(harness) == set(NAMES)
    assert waiting(harness) == {}


async def test_restart_of_the_operator_remembers_a_failed_roll(harness: OperatorHarness) -> None:
    first = await fail_first_roll(harness)
    await harness.stop()
    await harness.start()
    await harness.play(seconds=120, alone=True)
    assert rolled(harness) == {first}
    assert set(waiting(harness).values()) == {"RollsStopped"}


async def test_restart_of_the_operator_keeps_the_limit(harness: OperatorHarness) -> None:
    await serve_all(harness)
    harness.serves = False
    await upgrade(harness, roll_on_upgrade=True, concurrent_rolls=2)
    first = rolled(harness)
    await harness.stop()
    await harness.start()
    await harness.play(seconds=30)
    assert rolled(harness) == first


def annotate(harness: OperatorHarness, name: str, value: str | None) -> None:
    change = {"metadata": {"annotations": {ROLL_ON_UPGRADE: value}}}
    harness.cluster.change(CUSTOM_RESOURCES["Service"], "default", name, change)


async def test_annotation_rolls_one_service(harness: OperatorHarness) -> None:
    await serve_all(harness)
    await upgrade(harness)
    annotate(harness, "b", "true")
    await harness.play()
    assert rolled(harness) == {"b"}
    assert harness.summary("Service", "b") == ("b:1", "Succeeded", "Serving")


async def test_annotation_exempts_one_service(harness: OperatorHarness) -> None:
    await serve_all(harness)
    annotate(harness, "b", "false")
    await upgrade(harness, roll_on_upgrade=True)
    await harness.play()
    assert rolled(harness) == set(NAMES) - {"b"}


async def test_exempted_service_no_longer_stops_the_others(harness: OperatorHarness) -> None:
    first = await fail_first_roll(harness)
    annotate(harness, first, "false")
    await harness.settle()
    assert len(rolled(harness)) == 2


async def test_deleted_service_frees_its_turn(harness: OperatorHarness) -> None:
    await serve_all(harness)
    harness.serves = False
    await upgrade(harness, roll_on_upgrade=True, concurrent_rolls=1)
    (first,) = rolled(harness)
    harness.cluster.remove(CUSTOM_RESOURCES["Service"], "default", first)
    harness.cluster.remove(DEPLOYMENTS, "default", first)
    await harness.settle()
    assert len(rolled(harness, set(NAMES) - {first})) == 1
