"""The whole operator: any order and interleaving of events, failed calls, and a kill at any call.

Tests of each call play the same life some hundred times. They run without the coverage tracer, which doubles
their time: other tests cover the same lines.
"""

from __future__ import annotations

import asyncio
import itertools
import random
from collections import Counter
from typing import Any

import pytest
from tests.unit.fake_api_server import (
    Call,
    Killed,
)
from tests.unit.operator_harness import (
    OperatorHarness,
    sample_objects,
    service,
)

from modelyard.api.resources import CUSTOM_RESOURCES
from modelyard.kube.errors import Unavailable
from modelyard.kube.types import (
    AUTOSCALERS,
    CONFIG_MAPS,
    CORE_SERVICES,
    DEPLOYMENTS,
    DISRUPTION_BUDGETS,
    EVENTS,
    PODS,
    REVISIONS,
    SECRETS,
    Key,
)
from modelyard.settings import OperatorSettings

KINDS = tuple(CUSTOM_RESOURCES)
CHILDREN = (DEPLOYMENTS, CORE_SERVICES, AUTOSCALERS, DISRUPTION_BUDGETS, SECRETS, CONFIG_MAPS)


def snapshot(harness: OperatorHarness) -> dict[str, Any]:
    """Return the statuses, children and revisions, without fields that differ between runs."""
    seen: dict[str, Any] = {}
    for kind in KINDS:
        status = dict(harness.status(kind))
        status.pop("createdTime")
        status.pop("endTime", None)
        status["timeline"] = sorted(status.get("timeline", ()))
        status["conditions"] = {
            c["type"]: (c["status"], c["reason"], c["message"]) for c in status["conditions"]
        }
        seen[kind] = status
    for resource in CHILDREN:
        for body in harness.cluster.all(resource):
            if body["metadata"]["namespace"] == "default":
                seen[f"{resource.kind} {body['metadata']['name']}"] = body.get(
                    "spec", sorted(body.get("data", ()))
                )
    for body in harness.cluster.all(REVISIONS):
        annotations = body["metadata"].get("annotations", {})
        seen[body["metadata"]["name"]] = body["data"], annotations.get("modelyard.dev/state")
    return seen


async def expected() -> dict[str, Any]:
    """Return the snapshot after one apply of the sample objects."""
    harness = OperatorHarness()
    await harness.start()
    harness.apply(*sample_objects())
    await harness.play()
    await harness.stop()
    return snapshot(harness)


async def test_one_apply_ends_in_a_serving_service(serving: OperatorHarness) -> None:
    assert [serving.summary(kind) for kind in KINDS] == [
        ("m:1", "Succeeded", "Registered"),
        ("m:1", "Succeeded", "Created"),
        ("m:1", "Succeeded", "Built"),
        ("m:1", "Succeeded", "Serving"),
    ]
    assert serving.builds == 1
    assert set(serving.cluster.created.values()) == {1}


@pytest.mark.parametrize("order", list(itertools.permutations(range(4))), ids=str)
@pytest.mark.parametrize("together", [True, False], ids=["at once", "one after the other"])
async def test_objects_applied_in_any_order_end_in_the_same_state(
    harness: OperatorHarness, order: tuple[int, ...], together: bool
) -> None:
    objects = sample_objects()
    for number in order:
        harness.apply(objects[number])
        if not together:
            await harness.play()
    await harness.play()
    assert snapshot(harness) == await expected()
    assert harness.builds == 1
    assert set(harness.cluster.created.values()) == {1}


async def test_reconcile_without_change_writes_nothing(serving: OperatorHarness) -> None:
    before = len(serving.cluster.writes)
    for key in [Key(kind, "default", "m") for kind in KINDS]:
        serving.queue.add(key)
    await serving.play()
    assert serving.cluster.writes[before:] == []


async def test_comparison_of_unchanged_children_writes_nothing(serving: OperatorHarness) -> None:
    before = len(serving.cluster.writes)
    for resource in CHILDREN:
        serving.cache.children.invalidate([resource], "default", ["m", "m-keys"])
    for key in [Key(kind, "default", "m") for kind in KINDS]:
        serving.queue.add(key)
    await serving.play()
    assert serving.cluster.writes[before:] == []
    assert any(call.verb == "get" for call in serving.cluster.calls)


async def test_restart_without_change_writes_nothing(serving: OperatorHarness) -> None:
    before = len(serving.cluster.writes)
    await serving.stop()
    await serving.start()
    await serving.play()
    assert serving.cluster.writes[before:] == []


async def test_writes_of_a_new_service_with_an_autoscaler(serving: OperatorHarness) -> None:
    before = len(serving.cluster.writes)
    serving.apply(service("n"))
    await serving.play()
    assert serving.summary("Service", "n") == ("n:1", "Succeeded", "Serving")
    assert Counter(
        (call.verb, call.resource, call.subresource) for call in serving.cluster.writes[before:]
    ) == {
        ("create", "controllerrevisions", ""): 1,
        ("create", "secrets", ""): 1,
        ("create", "deployments", ""): 1,
        ("create", "services", ""): 1,
        ("create", "horizontalpodautoscalers", ""): 1,
        ("patch", "services", "status"): 2,  # Running, Succeeded
        ("create", "events", ""): 1,
    }


async def test_deleted_objects_leave_nothing_behind(serving: OperatorHarness) -> None:
    for kind in reversed(KINDS):
        serving.cluster.remove(CUSTOM_RESOURCES[kind], "default", "m")
        await serving.play()
    assert {resource for resource, _, _ in serving.cluster.objects} <= {EVENTS, PODS}
    assert serving.cache.objects.keys() == []


# faults


_MAY_GET_LOST = {"list", "watch", "log"}  # reflectors retry; the log of a build is stored with best effort


async def life(harness: OperatorHarness) -> None:
    """Apply the sample objects, change the Model, then set the Service to three replicas."""
    if not harness.cluster.all(CUSTOM_RESOURCES["Model"]):
        harness.apply(*sample_objects())
    await harness.play()
    if harness.cluster.at(CUSTOM_RESOURCES["Model"], "m")["spec"]["url"] == "https://h/1":
        harness.change("Model", url="https://h/2")
        await harness.play()
    harness.change("Service", numReplicas=3)
    await harness.play()


async def undisturbed() -> OperatorHarness:
    harness = OperatorHarness()
    await harness.start()
    await life(harness)
    await harness.stop()
    return harness


async def test_undisturbed_life_records_each_version() -> None:
    harness = await undisturbed()
    assert [harness.summary(kind)[:2] for kind in KINDS] == [("m:2", "Succeeded")] * 3 + [
        ("m:3", "Succeeded")
    ]
    assert harness.builds == 2
    states = {name: seen[1] for name, seen in snapshot(harness).items() if isinstance(seen, tuple)}
    assert states == {
        "model-m-1": "Succeeded",
        "model-m-2": "Succeeded",
        "manifest-m-1": "Succeeded",
        "manifest-m-2": "Succeeded",
        "image-m-1": "Succeeded",
        "image-m-2": "Succeeded",
        "service-m-1": "Succeeded",
        "service-m-2": "Succeeded",
        "service-m-3": None,
    }


@pytest.mark.no_cover
@pytest.mark.parametrize("point", ["fault", "lost"], ids=["before it takes effect", "after it took effect"])
async def test_operator_killed_at_any_call_ends_in_the_same_state(point: str) -> None:
    reference = await undisturbed()
    for number in itertools.count(1):
        harness = OperatorHarness()

        def kill(count: int, _: Call, at: int = number, harness: OperatorHarness = harness) -> None:
            if count == at:
                harness.cluster.dead = True
                raise Killed

        setattr(harness.cluster, point, kill)
        for _ in range(2):
            try:
                await harness.start()
                await life(harness)
            except Killed:
                await harness.stop()
        await harness.stop()
        about = f"killed at {number}: {harness.cluster.calls[number - 1 : number]}"
        assert snapshot(harness) == snapshot(reference), about
        assert harness.builds == 2, about
        if number > len(harness.cluster.calls):
            break
    assert number > len(reference.cluster.calls)


@pytest.mark.no_cover
@pytest.mark.parametrize("point", ["fault", "lost"], ids=["before it takes effect", "after it took effect"])
async def test_any_call_that_fails_once_ends_in_the_same_state(point: str) -> None:
    reference = await undisturbed()
    for number in itertools.count(1):
        harness = OperatorHarness()

        def fail(count: int, call: Call, at: int = number) -> None:
            if count == at and call.verb not in _MAY_GET_LOST:
                raise Unavailable("try again")

        setattr(harness.cluster, point, fail)
        await harness.start()
        await life(harness)
        await harness.stop()
        about = f"failed at {number}: {harness.cluster.calls[number - 1 : number]}"
        assert snapshot(harness) == snapshot(reference), about
        assert harness.builds == 2, about
        if number > len(harness.cluster.calls):
            break


@pytest.mark.parametrize("seed", range(60))
async def test_last_of_edits_at_any_moment_is_served(seed: int) -> None:
    """The Service serves the last edit after any interleaving of edits, watches and calls."""
    schedule = random.Random(seed)
    harness = OperatorHarness(OperatorSettings(workers=schedule.randint(1, 4)), schedule)
    await harness.start()
    harness.apply(*schedule.sample(sample_objects(), 4))
    for _ in range(12):
        edit = schedule.randrange(6)
        if edit == 0:
            harness.change("Model", url=f"https://h/{schedule.randrange(3)}")
        elif edit == 1:
            harness.change("Service", numReplicas=schedule.choice([None, 1, 3]))
        elif edit == 2:
            harness.change("Manifest", description=str(schedule.random()))
        elif edit == 3:
            harness.change("Image", name=schedule.choice(["a", "b"]))
        elif edit == 4:
            again = schedule.choice(sample_objects())
            harness.cluster.remove(CUSTOM_RESOURCES[again["kind"]], "default", "m")
            harness.apply(again)
        else:
            harness.step()
        for _ in range(schedule.randrange(60)):
            await asyncio.sleep(0)
    await harness.play()
    await harness.stop()
    _is_consistent(harness)


def _is_consistent(harness: OperatorHarness) -> None:
    status = {kind: harness.status(kind) for kind in KINDS}
    for kind in KINDS:
        body = harness.cluster.at(CUSTOM_RESOURCES[kind], "m")
        assert status[kind]["state"] == "Succeeded"
        assert status[kind]["observedGeneration"] == body["metadata"]["generation"]
        assert status[kind] == harness.cache.objects.get(Key(kind, "default", "m")).status  # type: ignore[union-attr]
        newest = max(
            (
                r
                for r in harness.cluster.all(REVISIONS)
                if r["metadata"]["name"].startswith(f"{kind.lower()}-m-")
            ),
            key=lambda r: r["revision"],
        )
        assert status[kind]["operationId"] == newest["metadata"]["name"]
    model = harness.cluster.at(REVISIONS, status["Model"]["operationId"])
    assert model["data"]["url"] == harness.cluster.at(CUSTOM_RESOURCES["Model"], "m")["spec"]["url"]
    assert status["Manifest"]["modelIds"] == [status["Model"]["id"]]
    assert status["Image"]["manifestId"] == status["Manifest"]["id"]
    assert status["Service"]["imageId"] == status["Image"]["id"]
    deployment = harness.cluster.at(DEPLOYMENTS, "m")["spec"]
    assert deployment["template"]["spec"]["containers"][0]["image"] == status["Image"]["imageLocation"]
    fixed = harness.cluster.at(CUSTOM_RESOURCES["Service"], "m")["spec"].get("numReplicas")
    assert (AUTOSCALERS, "default", "m") in harness.cluster.objects or fixed
    has_budget = (DISRUPTION_BUDGETS, "default", "m") in harness.cluster.objects
    if fixed:
        assert deployment["replicas"] == fixed
        assert (AUTOSCALERS, "default", "m") not in harness.cluster.objects
        assert has_budget == (fixed > 1)
    else:
        assert has_budget or deployment["replicas"] == 1
