"""Versions that give their images up, and get them back."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from tests.unit.operator_harness import (
    World,
    everything,
    service,
)
from tests.unit.reconcile.test_image import failing

from modelyard.settings import BuildSettings, OperatorSettings, RegistrySettings


@pytest.fixture
async def world() -> AsyncIterator[World]:
    """An operator that keeps the images of two versions, with four versions built and the last one served."""
    world = World(
        OperatorSettings(registry=RegistrySettings(keep_versions=2), build=BuildSettings(attempts=2))
    )
    await world.start()
    world.apply(*everything())
    await world.play()
    for version in (2, 3, 4):
        world.change("Model", url=f"https://h/{version}")
        await world.play()
    yield world
    await world.stop()


def kept(world: World, newest: int = 4) -> set[int]:
    versions = range(1, newest + 1)
    return {version for version in versions if "image-location" in world.record("Image", version)}


async def test_the_newest_keep_theirs(world: World) -> None:
    await world.play(seconds=1000)
    assert kept(world) == {3, 4}
    assert world.record("Image", 1)["state"] == "Succeeded"
    assert world.said("Image") == ("m:4", "Succeeded", "Built")


async def test_all_keep_theirs_by_default() -> None:
    world = World()
    await world.start()
    world.apply(*everything())
    for version in (2, 3, 4):
        await world.play()
        world.change("Model", url=f"https://h/{version}")
    await world.play(seconds=1000)
    assert kept(world) == {1, 2, 3, 4}
    await world.stop()


async def test_a_version_that_a_service_stays_at_keeps_its_image() -> None:
    world = World(OperatorSettings(registry=RegistrySettings(keep_versions=1)))
    await world.start()
    world.apply(*everything(), service("old", imageId="m:1"))
    await world.play()
    for version in (2, 3):
        world.change("Model", url=f"https://h/{version}")
        await world.play()
    await world.play(seconds=1000)
    assert kept(world, newest=3) == {1, 3}
    await world.stop()


async def test_a_service_that_is_moved_back_has_the_image_built_again(world: World) -> None:
    await world.play(seconds=1000)
    world.registry.images.clear()  # pruned
    builds = world.builds
    world.change("Service", imageId="m:1")
    await world.play()
    assert world.builds == builds + 1
    assert world.said("Service") == ("m:5", "Succeeded", "Serving")
    assert world.status("Service")["imageLocation"] == world.record("Image", 1)["image-location"]
    assert "image-given-up" not in world.record("Image", 1)
    assert world.said("Image") == ("m:4", "Succeeded", "Built")


async def test_an_image_that_is_still_there_is_found(world: World) -> None:
    await world.play(seconds=1000)
    builds = world.builds
    world.change("Service", imageId="m:1")
    await world.play()
    assert world.builds == builds
    assert world.said("Service") == ("m:5", "Succeeded", "Serving")


async def test_a_version_that_cannot_be_built_again_says_so(world: World) -> None:
    await world.play(seconds=1000)
    world.registry.images.clear()
    world.outcome = failing("SourceNotFound")
    builds = world.builds
    world.change("Service", imageId="m:1")
    await world.play(seconds=36000)
    assert world.builds == builds + 1
    assert world.said("Service") == ("m:4", "NotStarted", "ImageFailed")
    assert world.said("Image") == ("m:4", "Succeeded", "Built")


async def test_a_transient_failure_of_it_is_tried_again(world: World) -> None:
    await world.play(seconds=1000)
    world.registry.images.clear()
    world.outcome = failing("RegistryUnavailable", transient=True)
    builds = world.builds
    world.change("Service", imageId="m:1")
    await world.play(seconds=36000)
    assert world.builds == builds + 2
    assert world.said("Service") == ("m:4", "NotStarted", "ImageFailed")
