"""Images that the registry has lost, or that are in another registry."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from tests.unit.operator_harness import OperatorHarness, sample_objects
from tests.unit.reconcile.test_image import failing

from modelyard.api import labels
from modelyard.api.resources import CUSTOM_RESOURCES
from modelyard.kube.types import REVISIONS
from modelyard.oci.errors import RegistryUnavailableError
from modelyard.reconcile.image_presence import CONFIRM_SECONDS
from modelyard.settings import OperatorSettings, RegistrySettings

PERIOD = 3600.0


def settings(push: str = "localhost:5000") -> OperatorSettings:
    return OperatorSettings(registry=RegistrySettings(push=push, verify_seconds=PERIOD))


@pytest.fixture
async def served() -> AsyncIterator[OperatorHarness]:
    """An operator that looks at its images, with a Service in whose cluster everything is served."""
    harness = OperatorHarness(settings())
    await harness.start()
    harness.apply(*sample_objects())
    await harness.play()
    assert harness.summary("Service") == ("m:1", "Succeeded", "Serving")
    yield harness
    await harness.stop()


async def test_present_image_is_looked_at_once_in_a_period_without_a_write(served: OperatorHarness) -> None:
    asked, writes = served.registry.asked, len(served.cluster.writes)
    await served.play(seconds=10 * PERIOD)
    assert 9 <= served.registry.asked - asked <= 11
    assert len(served.cluster.writes) == writes


async def test_lost_image_is_built_again(served: OperatorHarness) -> None:
    location = served.status("Image")["imageLocation"]
    served.registry.images.clear()
    await served.play(seconds=PERIOD + 2 * CONFIRM_SECONDS, alone=True)
    assert served.summary("Image") == ("m:1", "Succeeded", "ImageLost")
    assert served.condition("Image", "Ready")["status"] == "False"
    assert served.condition("Image", "Reconciling")["status"] == "True"
    assert f"the registry has no {location}" in served.condition("Image", "Ready")["message"]
    assert served.summary("Service") == ("m:1", "Succeeded", "Serving")
    await served.play()
    assert served.builds == 2
    assert served.summary("Image") == ("m:1", "Succeeded", "Built")
    assert served.condition("Image", "Ready")["status"] == "True"
    assert served.status("Image")["imageLocation"] == location
    assert "image-lost" not in served.revision_annotations("Image", 1)
    await served.play(seconds=3 * PERIOD)
    assert served.builds == 2


async def test_one_look_without_an_image_builds_nothing(served: OperatorHarness) -> None:
    images = dict(served.registry.images)
    asked = served.registry.asked
    served.registry.images.clear()
    while served.registry.asked == asked:
        due = served.clock.next_due()
        assert due is not None
        served.clock.move_to(due)
        await served.settle()
    served.registry.images.update(images)
    await served.play(seconds=2 * PERIOD)
    assert served.builds == 1
    assert served.summary("Image") == ("m:1", "Succeeded", "Built")


async def test_unavailable_registry_is_no_lost_registry(served: OperatorHarness) -> None:
    served.registry.error = RegistryUnavailableError("away")
    writes = len(served.cluster.writes)
    await served.play(seconds=10 * PERIOD)
    assert len(served.cluster.writes) == writes


async def test_image_without_a_service_is_not_looked_at(served: OperatorHarness) -> None:
    served.cluster.remove(CUSTOM_RESOURCES["Service"], "default", "m")
    await served.settle()
    served.registry.images.clear()
    await served.play(seconds=3 * PERIOD)
    assert served.builds == 1


async def test_failed_rebuild_is_retried_while_the_service_goes_on(served: OperatorHarness) -> None:
    outcome = served.outcome
    served.registry.images.clear()
    served.outcome = failing("SourceUnavailable", transient=True)
    await served.play(seconds=2 * PERIOD)
    assert served.summary("Image") == ("m:1", "Succeeded", "ImageLost")
    assert "the operator retries" in served.condition("Image", "Ready")["message"]
    assert served.summary("Service") == ("m:1", "Succeeded", "Serving")
    served.outcome = outcome
    await served.play(seconds=700)
    assert served.summary("Image") == ("m:1", "Succeeded", "Built")


@pytest.mark.parametrize("copied", [True, False], ids=["copied", "not copied"])
async def test_image_of_another_registry_is_found_or_built_there(
    served: OperatorHarness, copied: bool
) -> None:
    await served.stop()
    images = {
        name.replace("localhost:5000", "new.example"): item for name, item in served.registry.images.items()
    }
    served.registry.images = images if copied else {}
    served.settings = settings("new.example")
    await served.start()
    await served.play(seconds=2 * CONFIRM_SECONDS + 300)
    assert served.builds == (1 if copied else 2)
    assert served.status("Image")["imageLocation"].startswith("new.example/modelyard/default/m@sha256:")
    assert served.summary("Image") == ("m:1", "Succeeded", "Built")


async def move_to_repository_of(served: OperatorHarness, registry: str, namespace: str) -> str:
    """Let the Image be one that was restored from another namespace; return its location there."""
    await served.stop()
    repository, _, digest = served.status("Image")["imageLocation"].partition("@")
    old = f"{registry}/modelyard/{namespace}/m"
    served.registry.images = {
        name.replace(repository, old): item for name, item in served.registry.images.items()
    }
    patch = {"metadata": {"annotations": {labels.IMAGE_LOCATION: f"{old}@{digest}"}}}
    served.cluster.change(REVISIONS, "default", "image-m-1", patch)
    return f"{old}@{digest}"


async def test_image_in_the_repository_of_another_namespace_stays_there(served: OperatorHarness) -> None:
    location = await move_to_repository_of(served, "localhost:5000", "old-team")
    await served.start()
    await served.play(seconds=3 * PERIOD)
    writes = len(served.cluster.writes)
    await served.play(seconds=3 * PERIOD)
    assert len(served.cluster.writes) == writes
    assert served.builds == 1
    assert served.status("Image")["imageLocation"] == location
    assert served.summary("Image") == ("m:1", "Succeeded", "Built")


async def test_lost_image_of_another_namespace_is_built_in_its_own_repository(
    served: OperatorHarness,
) -> None:
    await move_to_repository_of(served, "localhost:5000", "old-team")
    served.registry.images.clear()
    await served.start()
    await served.play(seconds=PERIOD + 2 * CONFIRM_SECONDS + 300)
    assert served.builds == 2
    assert served.status("Image")["imageLocation"].startswith("localhost:5000/modelyard/default/m@sha256:")
    assert served.summary("Image") == ("m:1", "Succeeded", "Built")


async def test_image_of_another_namespace_is_found_in_a_copied_registry(served: OperatorHarness) -> None:
    location = await move_to_repository_of(served, "localhost:5000", "old-team")
    served.registry.images = {
        name.replace("localhost:5000", "new.example"): item for name, item in served.registry.images.items()
    }
    served.settings = settings("new.example")
    await served.start()
    await served.play(seconds=2 * CONFIRM_SECONDS)
    assert served.builds == 1
    assert served.status("Image")["imageLocation"] == location.replace("localhost:5000", "new.example")


async def test_lookup_asks_no_other_registry_than_the_present_one(served: OperatorHarness) -> None:
    """A lookup sends the operator's credentials."""
    await move_to_repository_of(served, "attacker.example", "old-team")
    await served.start()
    asked = len(served.registry.references)
    await served.play(seconds=PERIOD)
    present = [name for name in served.registry.references[asked:] if "@" in name]
    assert {name.partition("@")[0] for name in present} == {
        "localhost:5000/modelyard/old-team/m",
        "localhost:5000/modelyard/default/m",
    }
    assert not [name for name in served.registry.references if "attacker.example" in name]


async def test_short_period_shortens_the_confirmation(served: OperatorHarness) -> None:
    await served.stop()
    served.settings = OperatorSettings(registry=RegistrySettings(verify_seconds=5))
    served.registry.images.clear()
    await served.start()
    await served.play(seconds=11)
    assert served.builds == 2
