"""Versions: one per content, never one twice."""

from __future__ import annotations

from typing import Any

import pytest
from tests.unit.fake_api_server import (
    Call,
    Killed,
)
from tests.unit.operator_harness import (
    World,
    manifest,
    model,
)

from modelyard.api.crd import NOT_OBSERVED
from modelyard.api.names import REGISTRATION
from modelyard.kube.types import CUSTOM_RESOURCES, REVISIONS, Json
from modelyard.resources import labels
from modelyard.resources.revision import Owner, revision


def registered(value: str) -> Json:
    return model() | {"metadata": {"name": "m", "annotations": {REGISTRATION: value}}}


def names(world: World) -> list[str]:
    return sorted(body["metadata"]["name"] for body in world.cluster.all(REVISIONS))


@pytest.mark.parametrize(
    ("changed", "version"),
    [
        (model(), 1),
        (model(description="for people", tags=["a", "b"]), 1),
        (model(unpack=False), 1),
        (model() | {"metadata": {"name": "m", "annotations": {"other": "x"}, "labels": {"a": "b"}}}, 1),
        (model(url="https://h/2"), 2),
        (model(mimeType="text/plain"), 2),
        (model(unpack=True), 2),
        (model() | {"spec": model()["spec"] | {"name": "Model_1.pkl"}}, 2),
        (model(secretRef={"name": "s"}), 2),
        (registered("1"), 2),
        (registered(""), 2),
    ],
    ids=str,
)
async def test_what_makes_a_version(world: World, changed: Json, version: int) -> None:
    world.apply(model())
    await world.play()
    world.apply(changed)
    await world.play()
    assert world.said("Model") == (f"m:{version}", "Succeeded", "Registered")
    assert names(world) == [f"model-m-{number}" for number in range(1, version + 1)]
    body = world.cluster.at(CUSTOM_RESOURCES["Model"], "m")
    assert world.status("Model")["observedGeneration"] == body["metadata"]["generation"]


async def test_a_revert_is_a_new_version_with_old_content(world: World) -> None:
    for url in ("https://h/1", "https://h/2", "https://h/1"):
        world.apply(model(url=url))
        await world.play()
    first, second, third = (world.cluster.at(REVISIONS, f"model-m-{n}") for n in (1, 2, 3))
    assert first["data"] == third["data"] != second["data"]
    assert world.said("Model")[0] == "m:3"


async def test_registering_again_is_a_version_each_time(world: World) -> None:
    for value in ("1", "2", "2", "1"):
        world.apply(registered(value))
        await world.play()
    assert world.said("Model")[0] == "m:3"


async def test_a_record_says_whose_it_is_and_how_it_went(world: World) -> None:
    world.apply(model())
    await world.play()
    body = world.cluster.at(REVISIONS, "model-m-1")
    (owner,) = body["metadata"]["ownerReferences"]
    assert owner["uid"] == world.cluster.at(CUSTOM_RESOURCES["Model"], "m")["metadata"]["uid"]
    assert body["revision"] == 1
    assert body["data"] == {"url": "https://h/1", "mimeType": "application/octet-stream"}
    assert world.record("Model", 1) == {"state": "Succeeded", "ended": "2026-01-01T00:00:00Z"}
    assert world.status("Model")["operationId"] == "model-m-1"


async def test_killed_between_the_end_of_one_version_and_the_next(serving: World) -> None:
    def kill(_: int, call: Call) -> None:
        if call == Call("create", "controllerrevisions", "service-m-2"):
            serving.cluster.dead = True
            raise Killed

    serving.cluster.fault = kill
    serving.change("Service", numReplicas=2)
    with pytest.raises(Killed):
        await serving.play()
    await serving.stop()
    assert serving.record("Service", 1)["state"] == "Succeeded"
    serving.cluster.fault = lambda number, call: None
    await serving.start()
    await serving.play()
    assert serving.said("Service") == ("m:2", "Succeeded", "Serving")


@pytest.mark.parametrize(("content", "version"), [("https://h/1", 1), ("https://h/other", 2)])
async def test_two_writers_of_one_version(world: World, content: str, version: int) -> None:
    """Another operator was faster: its record counts, and what differs from it is the next version."""

    def overtake(_: int, call: Call) -> None:
        if call == Call("create", "controllerrevisions", "model-m-1"):
            world.cluster.fault = lambda number, call: None
            uid = world.cluster.at(CUSTOM_RESOURCES["Model"], "m")["metadata"]["uid"]
            data = {"url": content, "mimeType": "application/octet-stream"}
            body = revision(Owner("Model", "m", uid), 1, data, {"modelyard.dev/state": "Succeeded"})
            world.cluster.put(REVISIONS, "default", body)

    world.cluster.fault = overtake
    world.apply(model())
    await world.play()
    assert world.said("Model")[0] == f"m:{version}"
    assert world.cluster.at(REVISIONS, f"model-m-{version}")["data"]["url"] == "https://h/1"


async def test_a_record_of_a_deleted_object_of_that_name_is_waited_out(world: World) -> None:
    world.apply(model())
    await world.play()
    world.cluster.collects = False
    world.cluster.remove(CUSTOM_RESOURCES["Model"], "default", "m")
    world.apply(model(url="https://h/2"))
    await world.play(seconds=10)
    assert world.status("Model") == NOT_OBSERVED
    world.cluster.remove(REVISIONS, "default", "model-m-1")
    await world.play()
    assert world.said("Model")[0] == "m:1"
    assert world.cluster.at(REVISIONS, "model-m-1")["data"]["url"] == "https://h/2"


async def test_a_pinned_reference_means_no_version_of_a_deleted_object(world: World) -> None:
    for url in ("https://h/1", "https://h/2"):
        world.apply(model(url=url))
        await world.play()
    world.cluster.collects = False
    world.cluster.remove(CUSTOM_RESOURCES["Model"], "default", "m")
    world.cluster.remove(REVISIONS, "default", "model-m-1")
    world.apply(model(url="https://h/3"), manifest(modelIds=["m:2"]))
    await world.play()
    assert world.said("Manifest") == ("", "NotStarted", "ModelNotFound")


async def test_a_record_that_somebody_deletes_is_made_anew(world: World) -> None:
    world.apply(model())
    await world.play()
    world.cluster.remove(REVISIONS, "default", "model-m-1")
    await world.play()
    assert names(world) == ["model-m-1"]


@pytest.mark.parametrize(
    ("changes", "version"),
    [({"description": "x"}, 1), ({"modelIds": ["m:1"]}, 1), ({"modelIds": []}, 2), ({"name": "x"}, 2)],
    ids=str,
)
async def test_what_makes_a_version_of_a_manifest(
    serving: World, changes: dict[str, Any], version: int
) -> None:
    serving.change("Manifest", **changes)
    await serving.play()
    assert serving.said("Manifest")[0] == f"m:{version}"


async def test_each_version_keeps_its_description_and_tags(world: World) -> None:
    for spec in ({"description": "first", "tags": ["a"]}, {"description": "again"}, {"url": "https://h/2"}):
        world.apply(model(**spec))
        await world.play()
    first, second = (world.cluster.at(REVISIONS, f"model-m-{n}")["metadata"]["annotations"] for n in (1, 2))
    assert first[labels.ABOUT] == '{"description":"again"}'
    assert labels.ABOUT not in second
