"""The log of a build while it grows: kept when it has news, told in the status, written rarely."""

from __future__ import annotations

import pytest
from tests.unit.fake_api_server import Call
from tests.unit.operator_harness import (
    SYSTEM,
    World,
)
from tests.unit.reconcile.test_image import begin, jobs

from modelyard.kube.errors import NotFound, Rejected
from modelyard.kube.types import CONFIG_MAPS, CUSTOM_RESOURCES, JOBS, PODS, Json
from modelyard.reconcile.builds.log_keeper import PAUSE_SECONDS
from modelyard.reconcile.workqueue import Key
from modelyard.resources.build_job import CONTAINER

NAME = "image-m-1-log"


def pod(world: World, state: Json) -> str:
    """The name of a pod of the build that runs, in this state."""
    (job,) = jobs(world)
    name = f"{job}-running"
    metadata = {"name": name, "labels": {"batch.kubernetes.io/job-name": job}}
    world.cluster.put(PODS, SYSTEM, {**PODS.header(), "metadata": metadata})["status"] = {
        "containerStatuses": [{"name": CONTAINER, "image": "modelyard:dev", "state": state}]
    }
    return name


async def building(world: World, log: str) -> str:
    """A build that has begun and has said this; the name of its pod."""
    await begin(world)
    name = pod(world, {"running": {}})
    world.cluster.logs[name] = log
    await world.play(PAUSE_SECONDS + 1, alone=True)
    return name


def kept(world: World) -> str:
    return str(world.cluster.at(CONFIG_MAPS, NAME)["data"]["log"])


async def test_it_is_there_while_the_build_runs(world: World) -> None:
    name = await building(world, "[Fetch] model m:1: https://h/1\n")
    assert world.said("Image") == ("m:1", "Running", "Building")
    assert kept(world) == "[Fetch] model m:1: https://h/1\n"
    assert world.status("Image")["imageBuildLogUri"] == CONFIG_MAPS.path("default", NAME)
    assert world.record("Image", 1)["build-log"] == NAME
    world.cluster.logs[name] += "[Push] model m:1: 40 MiB of 100 MiB\n"
    await world.play(PAUSE_SECONDS + 1, alone=True)
    assert kept(world).endswith("[Push] model m:1: 40 MiB of 100 MiB\n")
    assert world.status("Image")["progress"] == "Push, model m:1: 40 MiB of 100 MiB"


async def test_without_news_nothing_is_written(world: World) -> None:
    await building(world, "[Fetch] model m:1: https://h/1\n")
    before = len(world.cluster.writes)
    await world.play(600, alone=True)
    assert len(world.cluster.writes) == before


async def test_however_often_it_is_asked_it_writes_rarely(world: World) -> None:
    name = await building(world, "[Fetch] a\n")
    before = len(world.cluster.writes)
    for number in range(20):
        world.cluster.logs[name] += f"[Fetch] line {number}\n"
        world.cluster.change(JOBS, SYSTEM, jobs(world)[0], {"status": {"ready": number}}, "status")
        for key in (Key(kind, "default", "m") for kind in CUSTOM_RESOURCES):
            world.queue.add(key)
        await world.settle()
    assert len(world.cluster.writes) == before
    await world.play(PAUSE_SECONDS + 1, alone=True)
    assert kept(world).endswith("line 19\n")


async def test_a_pod_that_does_not_come_up_says_why(world: World) -> None:
    await begin(world)
    pod(world, {"waiting": {"reason": "ImagePullBackOff", "message": "no such image"}})
    await world.play(PAUSE_SECONDS + 1, alone=True)
    assert "cannot pull modelyard:dev: no such image" in world.status("Image")["progress"]
    assert "imageBuildLogUri" not in world.status("Image")


async def test_it_stays_when_the_build_is_cancelled(world: World) -> None:
    await building(world, "[Fetch] model m:1: https://h/1\n")
    world.change("Model", url="https://h/2")
    await world.settle()
    assert world.record("Image", 1)["state"] == "Cancelled"
    assert world.record("Image", 1)["build-log"] == NAME
    assert kept(world)


async def test_it_comes_again_after_it_was_deleted(world: World) -> None:
    name = await building(world, "[Fetch] a\n")
    world.cluster.remove(CONFIG_MAPS, "default", NAME)
    world.cluster.logs[name] += "[Fetch] b\n"
    await world.play(3 * PAUSE_SECONDS, alone=True)
    assert kept(world) == "[Fetch] a\n[Fetch] b\n"


async def test_a_new_process_goes_on(world: World) -> None:
    name = await building(world, "[Fetch] a\n")
    await world.stop()
    await world.start()
    world.cluster.logs[name] += "[Fetch] b\n"
    await world.play(PAUSE_SECONDS + 1, alone=True)
    assert kept(world) == "[Fetch] a\n[Fetch] b\n"


async def test_a_log_that_may_not_be_kept_fails_no_build(world: World) -> None:
    def fault(_: int, call: Call) -> None:
        if call.resource == CONFIG_MAPS.plural:
            raise Rejected("exceeded quota", status=403)

    world.cluster.fault = fault
    await building(world, "[Fetch] a\n")
    await world.play()
    assert world.said("Image") == ("m:1", "Succeeded", "Built")
    with pytest.raises(NotFound):
        world.cluster.at(CONFIG_MAPS, NAME)
    assert "imageBuildLogUri" not in world.status("Image")


async def test_a_long_log_is_kept_from_its_end(world: World) -> None:
    await building(world, "é" * 200_000 + "\n[Push] a: 1 MiB of 2 MiB\n")
    assert kept(world).endswith("1 MiB of 2 MiB\n")
    assert len(kept(world).encode()) <= 256 * 1024
