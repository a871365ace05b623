"""The move of a namespace to another cluster by the steps of docs/backup.md, and the limits of a restore."""

from __future__ import annotations

from typing import Final

from tests.unit.operator_harness import OperatorHarness, service
from tests.unit.reconcile.test_adoption import (
    contents,
    export,
    ids,
    own,
    owners,
    restored,
    three_versions,
    uid,
)

from modelyard.api.resources import CUSTOM_RESOURCES
from modelyard.kube.errors import AlreadyExists
from modelyard.kube.types import REVISIONS, SECRETS, ApiResource, Json
from modelyard.settings import HistorySettings, OperatorSettings, RegistrySettings

KINDS: Final = ("Model", "Manifest", "Image", "Service")
# docs/backup.md: the operator of the new cluster creates the others.
SAVED: Final = (REVISIONS, SECRETS, *CUSTOM_RESOURCES.values())
OTHER_REGISTRY: Final = OperatorSettings(registry=RegistrySettings(push="new.example", verify_seconds=3600))
THREE: Final = [
    ("m:3", "Succeeded", "Registered"),
    ("m:3", "Succeeded", "Created"),
    ("m:3", "Succeeded", "Built"),
    ("m:3", "Succeeded", "Serving"),
]


def saved(old: OperatorHarness) -> list[tuple[ApiResource, Json]]:
    """Return the objects of a backup, the versions and keys first."""
    items = [item for item in export(old) if item[0] in SAVED]
    return sorted(items, key=lambda item: SAVED.index(item[0]))


async def test_moved_namespace_serves_in_both_clusters(harness: OperatorHarness) -> None:
    await three_versions(harness)
    new = await restored(harness, saved(harness), running=False)
    before = contents(harness)
    assert ids(new) == ids(harness) == THREE
    assert contents(new) == before
    assert not {uid(new, kind) for kind in KINDS} & {uid(harness, kind) for kind in KINDS}
    for kind in KINDS:
        harness.cluster.remove(CUSTOM_RESOURCES[kind], "default", "m")
    await harness.play()
    assert own(harness, REVISIONS) == own(harness, SECRETS) == []
    await new.play(seconds=7200)
    assert contents(new) == before
    assert new.builds == 0
    await new.stop()


async def test_moved_namespace_finds_its_images_in_a_copied_registry(harness: OperatorHarness) -> None:
    """No registration annotation is needed: the look at used images finds them."""
    await three_versions(harness)
    harness.apply(service("pinned", imageId="m:2"))
    await harness.play()
    new = await restored(harness, saved(harness), running=False, settings=OTHER_REGISTRY)
    await new.play(seconds=7200)
    assert ids(new) == THREE
    assert new.builds == 0
    for name, image_id in (("m", "m:3"), ("pinned", "m:2")):
        old_status, status = harness.status("Service", name), new.status("Service", name)
        assert (status["id"], status["imageId"]) == (old_status["id"], image_id)
        assert status["imageLocation"] == old_status["imageLocation"].replace("localhost:5000", "new.example")
    assert contents(new)["keys"] == contents(harness)["keys"]
    await new.stop()


async def test_moved_namespace_goes_on_counting_although_old_versions_were_removed() -> None:
    settings = OperatorSettings(history=HistorySettings(limit=1))
    old = OperatorHarness(settings)
    await old.start()
    await three_versions(old)
    await old.play(seconds=3600)
    assert not {"image-m-1", "service-m-1"} & {body["metadata"]["name"] for body in own(old, REVISIONS)}
    new = await restored(old, saved(old), running=False, settings=settings)
    assert ids(new) == THREE
    new.change("Model", url="https://h/4")
    await new.play()
    assert [id_ for id_, _, _ in ids(new)] == ["m:4"] * 4
    assert new.builds == 1
    await old.stop()
    await new.stop()


async def test_objects_restored_before_their_versions_lose_numbers_and_keys(
    harness: OperatorHarness,
) -> None:
    """A limit of docs/backup.md: a running operator records version 1, and makes keys of its own.

    Then each version that is restored one by one looks like a change of content.
    """
    await three_versions(harness)
    new = OperatorHarness()
    new.registry.images = harness.registry.images
    await new.start()
    refused = []
    for resource, body in reversed(saved(harness)):
        try:
            new.cluster.put(resource, "default", body)
        except AlreadyExists:
            refused.append(body["metadata"]["name"])
        await new.play()
    assert sorted(refused) == ["image-m-1", "m-keys", "manifest-m-1", "model-m-1", "service-m-1"]
    assert [summary[1:] for summary in ids(new)] == [summary[1:] for summary in THREE]
    assert new.status("Service")["version"] > 3
    assert new.builds == 0
    assert contents(new)["image"] == contents(harness)["image"]
    assert contents(new)["keys"] != contents(harness)["keys"]
    assert owners(new, REVISIONS) == {uid(new, kind) for kind in KINDS}
    await new.stop()
