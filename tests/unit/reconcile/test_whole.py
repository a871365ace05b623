"""Everything together: any order, any interleaving, any call that fails, and a kill at any of them."""

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
    World,
    everything,
    service,
)

from modelyard.kube.errors import Unavailable
from modelyard.kube.types import (
    AUTOSCALERS,
    CONFIG_MAPS,
    CORE_SERVICES,
    CUSTOM_RESOURCES,
    DEPLOYMENTS,
    DISRUPTION_BUDGETS,
    EVENTS,
    PODS,
    REVISIONS,
    SECRETS,
)
from modelyard.reconcile.workqueue import Key
from modelyard.settings import OperatorSettings

KINDS = tuple(CUSTOM_RESOURCES)
CHILDREN = (DEPLOYMENTS, CORE_SERVICES, AUTOSCALERS, DISRUPTION_BUDGETS, SECRETS, CONFIG_MAPS)


def picture(world: World) -> dict[str, Any]:
    """All that a user sees, without what differs from run to run."""
    seen: dict[str, Any] = {}
    for kind in KINDS:
        status = dict(world.status(kind))
        status.pop("createdTime")
        status["conditions"] = {
            c["type"]: (c["status"], c["reason"], c["message"]) for c in status["conditions"]
        }
        seen[kind] = status
    for resource in CHILDREN:
        for body in world.cluster.all(resource):
            if body["metadata"]["namespace"] == "default":
                seen[f"{resource.kind} {body['metadata']['name']}"] = body.get(
                    "spec", sorted(body.get("data", ()))
                )
    for body in world.cluster.all(REVISIONS):
        annotations = body["metadata"].get("annotations", {})
        seen[body["metadata"]["name"]] = body["data"], annotations.get("modelyard.dev/state")
    return seen


async def expected() -> dict[str, Any]:
    """What one apply of everything leads to."""
    world = World()
    await world.start()
    world.apply(*everything())
    await world.play()
    await world.stop()
    return picture(world)


async def test_one_apply_serves(serving: World) -> None:
    assert [serving.said(kind) for kind in KINDS] == [
        ("m:1", "Succeeded", "Registered"),
        ("m:1", "Succeeded", "Created"),
        ("m:1", "Succeeded", "Built"),
        ("m:1", "Succeeded", "Serving"),
    ]
    assert serving.builds == 1
    assert set(serving.cluster.created.values()) == {1}


@pytest.mark.parametrize("order", list(itertools.permutations(range(4))), ids=str)
@pytest.mark.parametrize("together", [True, False], ids=["at once", "one after the other"])
async def test_any_order_ends_in_the_same(world: World, order: tuple[int, ...], together: bool) -> None:
    objects = everything()
    for number in order:
        world.apply(objects[number])
        if not together:
            await world.play()
    await world.play()
    assert picture(world) == await expected()
    assert world.builds == 1
    assert set(world.cluster.created.values()) == {1}


async def test_what_is_as_wanted_is_not_written_again(serving: World) -> None:
    before = len(serving.cluster.writes)
    for key in [Key(kind, "default", "m") for kind in KINDS]:
        serving.queue.add(key)
    await serving.play()
    assert serving.cluster.writes[before:] == []


async def test_nor_when_everything_is_compared(serving: World) -> None:
    before = len(serving.cluster.writes)
    for resource in CHILDREN:
        serving.store.distrust([resource], "default", ["m", "m-keys"])
    for key in [Key(kind, "default", "m") for kind in KINDS]:
        serving.queue.add(key)
    await serving.play()
    assert serving.cluster.writes[before:] == []
    assert any(call.verb == "get" for call in serving.cluster.calls)


async def test_nor_after_a_restart(serving: World) -> None:
    before = len(serving.cluster.writes)
    await serving.stop()
    await serving.start()
    await serving.play()
    assert serving.cluster.writes[before:] == []


async def test_writes_of_a_new_service_with_an_autoscaler(serving: World) -> None:
    before = len(serving.cluster.writes)
    serving.apply(service("n"))
    await serving.play()
    assert serving.said("Service", "n") == ("n:1", "Succeeded", "Serving")
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


async def test_delete_leaves_nothing_behind(serving: World) -> None:
    for kind in reversed(KINDS):
        serving.cluster.remove(CUSTOM_RESOURCES[kind], "default", "m")
        await serving.play()
    assert {resource for resource, _, _ in serving.cluster.objects} <= {EVENTS, PODS}
    assert serving.store.keys() == []


# the same life, disturbed


_MAY_GET_LOST = {"list", "watch", "log"}  # a reflector's business; a build's log is kept if it can be


async def life(world: World) -> None:
    """Everything is applied, then the model changes, then the Service is fixed to three replicas."""
    if not world.cluster.all(CUSTOM_RESOURCES["Model"]):
        world.apply(*everything())
    await world.play()
    if world.cluster.at(CUSTOM_RESOURCES["Model"], "m")["spec"]["url"] == "https://h/1":
        world.change("Model", url="https://h/2")
        await world.play()
    world.change("Service", numReplicas=3)
    await world.play()


async def undisturbed() -> World:
    world = World()
    await world.start()
    await life(world)
    await world.stop()
    return world


async def test_life_undisturbed() -> None:
    world = await undisturbed()
    assert [world.said(kind)[:2] for kind in KINDS] == [("m:2", "Succeeded")] * 3 + [("m:3", "Succeeded")]
    assert world.builds == 2
    states = {name: seen[1] for name, seen in picture(world).items() if isinstance(seen, tuple)}
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


@pytest.mark.parametrize("point", ["fault", "lost"], ids=["before it takes effect", "after it took effect"])
async def test_killed_at_any_call(point: str) -> None:
    reference = await undisturbed()
    for number in itertools.count(1):
        world = World()

        def kill(count: int, _: Call, at: int = number, world: World = world) -> None:
            if count == at:
                world.cluster.dead = True
                raise Killed

        setattr(world.cluster, point, kill)
        for _ in range(2):
            try:
                await world.start()
                await life(world)
            except Killed:
                await world.stop()
        await world.stop()
        about = f"killed at {number}: {world.cluster.calls[number - 1 : number]}"
        assert picture(world) == picture(reference), about
        assert world.builds == 2, about
        if number > len(world.cluster.calls):
            break
    assert number > len(reference.cluster.calls)


@pytest.mark.parametrize("point", ["fault", "lost"], ids=["before it takes effect", "after it took effect"])
async def test_any_call_may_fail_once(point: str) -> None:
    reference = await undisturbed()
    for number in itertools.count(1):
        world = World()

        def fail(count: int, call: Call, at: int = number) -> None:
            if count == at and call.verb not in _MAY_GET_LOST:
                raise Unavailable("try again")

        setattr(world.cluster, point, fail)
        await world.start()
        await life(world)
        await world.stop()
        about = f"failed at {number}: {world.cluster.calls[number - 1 : number]}"
        assert picture(world) == picture(reference), about
        assert world.builds == 2, about
        if number > len(world.cluster.calls):
            break


@pytest.mark.parametrize("seed", range(60))
async def test_edits_at_any_moment(seed: int) -> None:
    """Whatever the interleaving of edits, watches and calls, the last edit is what is served."""
    schedule = random.Random(seed)
    world = World(OperatorSettings(workers=schedule.randint(1, 4)), schedule)
    await world.start()
    world.apply(*schedule.sample(everything(), 4))
    for _ in range(12):
        edit = schedule.randrange(6)
        if edit == 0:
            world.change("Model", url=f"https://h/{schedule.randrange(3)}")
        elif edit == 1:
            world.change("Service", numReplicas=schedule.choice([None, 1, 3]))
        elif edit == 2:
            world.change("Manifest", description=str(schedule.random()))
        elif edit == 3:
            world.change("Image", name=schedule.choice(["a", "b"]))
        elif edit == 4:
            again = schedule.choice(everything())
            world.cluster.remove(CUSTOM_RESOURCES[again["kind"]], "default", "m")
            world.apply(again)
        else:
            world.step()
        for _ in range(schedule.randrange(60)):
            await asyncio.sleep(0)
    await world.play()
    await world.stop()
    _is_consistent(world)


def _is_consistent(world: World) -> None:
    status = {kind: world.status(kind) for kind in KINDS}
    for kind in KINDS:
        body = world.cluster.at(CUSTOM_RESOURCES[kind], "m")
        assert status[kind]["state"] == "Succeeded"
        assert status[kind]["observedGeneration"] == body["metadata"]["generation"]
        assert status[kind] == world.store.item(Key(kind, "default", "m")).status  # type: ignore[union-attr]
        newest = max(
            (
                r
                for r in world.cluster.all(REVISIONS)
                if r["metadata"]["name"].startswith(f"{kind.lower()}-m-")
            ),
            key=lambda r: r["revision"],
        )
        assert status[kind]["operationId"] == newest["metadata"]["name"]
    model = world.cluster.at(REVISIONS, status["Model"]["operationId"])
    assert model["data"]["url"] == world.cluster.at(CUSTOM_RESOURCES["Model"], "m")["spec"]["url"]
    assert status["Manifest"]["modelIds"] == [status["Model"]["id"]]
    assert status["Image"]["manifestId"] == status["Manifest"]["id"]
    assert status["Service"]["imageId"] == status["Image"]["id"]
    deployment = world.cluster.at(DEPLOYMENTS, "m")["spec"]
    assert deployment["template"]["spec"]["containers"][0]["image"] == status["Image"]["imageLocation"]
    fixed = world.cluster.at(CUSTOM_RESOURCES["Service"], "m")["spec"].get("numReplicas")
    assert (AUTOSCALERS, "default", "m") in world.cluster.objects or fixed
    if fixed:
        assert deployment["replicas"] == fixed
        assert (AUTOSCALERS, "default", "m") not in world.cluster.objects
    assert ((DISRUPTION_BUDGETS, "default", "m") in world.cluster.objects) == ((fixed or 1) > 1)


async def test_a_record_whose_name_somebody_else_holds(world: World) -> None:
    taken = {"metadata": {"name": "model-m-1"}, "revision": 1, "data": {}}
    await world.cluster.create(REVISIONS, "default", taken)
    world.apply(*everything())
    await world.play(seconds=10)
    assert world.said("Model") == ("", "Failed", "NameTaken")
    world.cluster.remove(REVISIONS, "default", "model-m-1")
    await world.play(seconds=60)
    assert world.said("Model") == ("m:1", "Succeeded", "Registered")
