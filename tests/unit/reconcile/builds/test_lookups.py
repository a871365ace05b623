"""Registry lookups outside the workers."""

from __future__ import annotations

import asyncio

import pytest
from tests.unit.operator_harness import OperatorHarness, image, manifest, model, sample_objects
from tests.unit.reconcile.test_image import jobs

from modelyard.api.resources import CUSTOM_RESOURCES
from modelyard.kube.types import Key
from modelyard.oci.errors import RegistryUnavailableError
from modelyard.reconcile.builds.lookups import BackgroundLookups, Pending

IMAGE = Key("Image", "default", "m")


class Found:
    """A lookup that the test answers."""

    def __init__(self) -> None:
        self.answer: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self.started = 0

    async def __call__(self) -> str:
        self.started += 1
        return await self.answer


async def turns() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


async def test_answer_queues_the_image_and_is_returned_once(harness: OperatorHarness) -> None:
    queued: list[Key] = []
    lookups, found = BackgroundLookups(queued.append, harness.clock), Found()
    assert lookups.poll(IMAGE, "a", found) == Pending(0.0)
    await turns()
    assert isinstance(lookups.poll(IMAGE, "a", found), Pending)
    assert (found.started, queued) == (1, [])
    found.answer.set_result("sha256:1")
    await turns()
    assert queued == [IMAGE]
    assert lookups.poll(IMAGE, "a", found) == "sha256:1"
    assert isinstance(lookups.poll(IMAGE, "a", found), Pending)
    await lookups.close()


async def test_error_of_a_lookup_is_raised(harness: OperatorHarness) -> None:
    lookups, found = BackgroundLookups(lambda _: None, harness.clock), Found()
    lookups.poll(IMAGE, "a", found)
    found.answer.set_exception(RegistryUnavailableError("away"))
    await turns()
    with pytest.raises(RegistryUnavailableError, match="away"):
        lookups.poll(IMAGE, "a", found)


async def test_answer_for_another_token_is_dropped(harness: OperatorHarness) -> None:
    queued: list[Key] = []
    lookups, old, new = BackgroundLookups(queued.append, harness.clock), Found(), Found()
    lookups.poll(IMAGE, "old", old)
    await turns()
    assert isinstance(lookups.poll(IMAGE, "new", new), Pending)
    await turns()
    assert old.answer.cancelled()
    assert queued == []
    await lookups.close()
    assert new.answer.cancelled()


async def test_silent_registry_stops_no_other_object(harness: OperatorHarness) -> None:
    harness.registry.answers.clear()
    harness.apply(model(), manifest())
    images = [image(f"i{number}") for number in range(3 * harness.settings.workers)]
    harness.apply(*images)
    await harness.settle()
    harness.apply(model("late"))
    await harness.settle()
    assert harness.summary("Model", "late") == ("late:1", "Succeeded", "Registered")
    await harness.play(seconds=5)
    assert harness.summary("Image", "i0") == ("i0:1", "NotStarted", "RegistryLookup")
    writes = len(harness.cluster.writes)
    await harness.play(seconds=600)
    assert len(harness.cluster.writes) == writes
    harness.registry.answers.set()
    await harness.play()
    assert {harness.summary("Image", body["metadata"]["name"])[1:] for body in images} == {
        ("Succeeded", "Built")
    }


async def test_usual_lookup_writes_no_status(harness: OperatorHarness) -> None:
    harness.apply(*sample_objects())
    await harness.play()
    reasons = [
        condition["reason"]
        for event in harness.cluster.history
        if event.resource == CUSTOM_RESOURCES["Image"]
        for condition in event.body["status"].get("conditions", ())
    ]
    assert "Built" in reasons
    assert "RegistryLookup" not in reasons


async def test_deleted_image_ends_its_lookup(harness: OperatorHarness) -> None:
    harness.registry.answers.clear()
    harness.apply(*sample_objects())
    await harness.settle()
    harness.cluster.remove(CUSTOM_RESOURCES["Image"], "default", "m")
    await harness.settle()
    harness.registry.answers.set()
    await harness.settle()
    assert jobs(harness) == []
