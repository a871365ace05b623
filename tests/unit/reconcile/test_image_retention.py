"""Released images, and those that are found or rebuilt."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from tests.unit.operator_harness import (
    OperatorHarness,
    sample_objects,
    service,
)
from tests.unit.reconcile.test_image import failing

from modelyard.settings import BuildSettings, OperatorSettings, RegistrySettings


@pytest.fixture
async def harness() -> AsyncIterator[OperatorHarness]:
    """An operator that retains two images, with four versions built and the last one served."""
    harness = OperatorHarness(
        OperatorSettings(registry=RegistrySettings(keep_versions=2), build=BuildSettings(attempts=2))
    )
    await harness.start()
    harness.apply(*sample_objects())
    await harness.play()
    for version in (2, 3, 4):
        harness.change("Model", url=f"https://h/{version}")
        await harness.play()
    yield harness
    await harness.stop()


def versions_with_image(harness: OperatorHarness, newest: int = 4) -> set[int]:
    versions = range(1, newest + 1)
    return {
        version for version in versions if "image-location" in harness.revision_annotations("Image", version)
    }


async def test_newest_versions_keep_their_images(harness: OperatorHarness) -> None:
    await harness.play(seconds=1000)
    assert versions_with_image(harness) == {3, 4}
    assert harness.revision_annotations("Image", 1)["state"] == "Succeeded"
    assert harness.summary("Image") == ("m:4", "Succeeded", "Built")


async def test_all_versions_keep_their_images_by_default() -> None:
    harness = OperatorHarness()
    await harness.start()
    harness.apply(*sample_objects())
    for version in (2, 3, 4):
        await harness.play()
        harness.change("Model", url=f"https://h/{version}")
    await harness.play(seconds=1000)
    assert versions_with_image(harness) == {1, 2, 3, 4}
    await harness.stop()


async def test_version_pinned_by_a_service_keeps_its_image() -> None:
    harness = OperatorHarness(OperatorSettings(registry=RegistrySettings(keep_versions=1)))
    await harness.start()
    harness.apply(*sample_objects(), service("old", imageId="m:1"))
    await harness.play()
    for version in (2, 3):
        harness.change("Model", url=f"https://h/{version}")
        await harness.play()
    await harness.play(seconds=1000)
    assert versions_with_image(harness, newest=3) == {1, 3}
    await harness.stop()


async def test_service_moved_back_to_a_released_image_gets_it_rebuilt(harness: OperatorHarness) -> None:
    await harness.play(seconds=1000)
    harness.registry.images.clear()  # pruned
    builds = harness.builds
    harness.change("Service", imageId="m:1")
    await harness.play()
    assert harness.builds == builds + 1
    assert harness.summary("Service") == ("m:5", "Succeeded", "Serving")
    assert (
        harness.status("Service")["imageLocation"]
        == harness.revision_annotations("Image", 1)["image-location"]
    )
    assert "image-given-up" not in harness.revision_annotations("Image", 1)
    assert harness.summary("Image") == ("m:4", "Succeeded", "Built")


async def test_released_image_still_in_the_registry_is_found(harness: OperatorHarness) -> None:
    await harness.play(seconds=1000)
    builds = harness.builds
    harness.change("Service", imageId="m:1")
    await harness.play()
    assert harness.builds == builds
    assert harness.summary("Service") == ("m:5", "Succeeded", "Serving")


async def test_failed_rebuild_is_reported(harness: OperatorHarness) -> None:
    await harness.play(seconds=1000)
    harness.registry.images.clear()
    harness.outcome = failing("SourceNotFound")
    builds = harness.builds
    harness.change("Service", imageId="m:1")
    await harness.play(seconds=36000)
    assert harness.builds == builds + 1
    assert harness.summary("Service") == ("m:4", "NotStarted", "ImageFailed")
    assert harness.summary("Image") == ("m:4", "Succeeded", "Built")


async def test_transient_failure_of_a_rebuild_is_retried(harness: OperatorHarness) -> None:
    await harness.play(seconds=1000)
    harness.registry.images.clear()
    harness.outcome = failing("SourceUnavailable", transient=True)
    builds = harness.builds
    harness.change("Service", imageId="m:1")
    await harness.play(seconds=36000)
    assert harness.builds == builds + 2
    assert harness.summary("Service") == ("m:4", "NotStarted", "ImageFailed")
