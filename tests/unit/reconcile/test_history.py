"""The limit of the history: the removal of the oldest versions, and the exceptions."""

from __future__ import annotations

import dataclasses
from collections.abc import AsyncIterator

import pytest
from tests.unit.fake_api_server import Call
from tests.unit.operator_harness import OperatorHarness, image, manifest, model, sample_objects, service

from modelyard.api.labels import parse_revision_name
from modelyard.contract.build_request import BuildError, BuildResult
from modelyard.kube.types import CONFIG_MAPS, REVISIONS, Key
from modelyard.reconcile.history import NEXT_REMOVALS_SECONDS, limit_history
from modelyard.settings import HistorySettings, OperatorSettings, RegistrySettings

LIMIT = 3


@pytest.fixture
async def harness() -> AsyncIterator[OperatorHarness]:
    harness = OperatorHarness(OperatorSettings(history=HistorySettings(limit=LIMIT)))
    await harness.start()
    yield harness
    await harness.stop()


def versions(harness: OperatorHarness, kind: str, name: str = "m") -> list[int]:
    names = (parse_revision_name(body["metadata"]["name"]) for body in harness.cluster.all(REVISIONS))
    return sorted(one.version for one in names if one and (one.kind, one.name) == (kind, name))


def logs(harness: OperatorHarness) -> list[str]:
    return sorted(body["metadata"]["name"] for body in harness.cluster.all(CONFIG_MAPS))


async def change(harness: OperatorHarness, first: int, last: int) -> None:
    for number in range(first, last + 1):
        harness.change("Model", url=f"https://h/{number}")
        await harness.play()


async def resync(harness: OperatorHarness) -> None:
    """Reconcile all objects, as a resync does, and then what their removals released."""
    for _ in range(4):
        objects = harness.cache.objects
        for key in objects.keys():  # noqa: SIM118 - no dict
            harness.queue.add(key)
        await harness.play()


async def test_oldest_versions_are_removed_with_their_logs(harness: OperatorHarness) -> None:
    harness.apply(*sample_objects())
    await harness.play()
    await change(harness, 2, 8)
    await resync(harness)
    for kind in ("Model", "Manifest", "Image", "Service"):
        assert versions(harness, kind) == [6, 7, 8], kind
        assert harness.summary(kind)[:2] == ("m:8", "Succeeded")
    assert logs(harness) == ["image-m-6-log", "image-m-7-log", "image-m-8-log"]
    await change(harness, 9, 9)
    assert harness.summary("Service") == ("m:9", "Succeeded", "Serving")


async def test_numbers_go_on_after_a_restart(harness: OperatorHarness) -> None:
    harness.apply(model())
    await harness.play()
    await change(harness, 2, 5)
    await harness.stop()
    await harness.start()
    await change(harness, 6, 6)
    assert versions(harness, "Model") == [4, 5, 6]


async def test_pinned_version_and_all_that_it_is_made_of_stay(harness: OperatorHarness) -> None:
    harness.apply(*sample_objects(), service("pinned", imageId="m:1"))
    await harness.play()
    await change(harness, 2, 6)
    await resync(harness)
    for kind in ("Model", "Manifest", "Image"):
        assert versions(harness, kind) == [1, 4, 5, 6], kind
    assert harness.summary("Service", "pinned") == ("pinned:1", "Succeeded", "Serving")
    harness.change("Service", "pinned", imageId="m")
    await harness.play()
    harness.change("Service", "pinned", numReplicas=2)
    await harness.play()
    for minReplicas in (3, 4):
        harness.change("Service", "pinned", numReplicas=minReplicas)
        await harness.play()
    await resync(harness)
    assert versions(harness, "Image") == [4, 5, 6]
    assert versions(harness, "Model") == [4, 5, 6]


async def test_reference_of_a_manifest_to_a_version_keeps_the_version(harness: OperatorHarness) -> None:
    harness.apply(model(), manifest("pinned", modelIds=["m:2"]))
    await harness.play()
    await change(harness, 2, 7)
    assert versions(harness, "Model") == [2, 5, 6, 7]
    assert harness.summary("Manifest", "pinned")[:2] == ("pinned:1", "Succeeded")


async def test_served_image_stays_while_newer_builds_fail(harness: OperatorHarness) -> None:
    harness.apply(*sample_objects())
    await harness.play()
    harness.outcome = lambda _: BuildResult(error=BuildError(code="PipFailed", step="Build", message="no"))
    await change(harness, 2, 7)
    await resync(harness)
    assert versions(harness, "Image") == [1, 5, 6, 7]
    assert harness.condition("Service", "Available")["status"] == "True"


async def test_images_that_the_registry_keeps_stay() -> None:
    settings = OperatorSettings(
        history=HistorySettings(limit=LIMIT), registry=RegistrySettings(keep_versions=5)
    )
    harness = OperatorHarness(settings)
    await harness.start()
    harness.apply(model(), manifest(), image())
    await harness.play()
    await change(harness, 2, 8)
    await resync(harness)
    assert versions(harness, "Image") == [4, 5, 6, 7, 8]
    assert versions(harness, "Manifest") == [4, 5, 6, 7, 8]
    await harness.stop()


async def test_long_history_is_removed_in_bounded_passes() -> None:
    harness = OperatorHarness(OperatorSettings(history=HistorySettings(limit=0)))
    await harness.start()
    harness.apply(model())
    await harness.play()
    await change(harness, 2, 50)
    assert len(versions(harness, "Model")) == 50
    obj = harness.cache.objects.get(Key("Model", "default", "m"))
    assert obj
    limited = OperatorSettings(history=HistorySettings(limit=LIMIT))
    ctx = dataclasses.replace(harness.ctx, settings=limited)
    assert await limit_history(ctx, obj) == NEXT_REMOVALS_SECONDS
    assert versions(harness, "Model") == list(range(21, 51))
    assert await limit_history(ctx, obj) == NEXT_REMOVALS_SECONDS
    assert await limit_history(ctx, obj) is None
    assert versions(harness, "Model") == [48, 49, 50]
    await harness.stop()


async def test_long_history_is_removed_after_a_restart_and_then_nothing_is_written() -> None:
    harness = OperatorHarness(OperatorSettings(history=HistorySettings(limit=0)))
    await harness.start()
    harness.apply(model())
    await harness.play()
    await change(harness, 2, 50)
    await harness.stop()
    harness.settings = OperatorSettings(history=HistorySettings(limit=LIMIT), resync_seconds=1e9)
    await harness.start()
    await harness.play()
    assert versions(harness, "Model") == [48, 49, 50]
    before = len(harness.cluster.writes)
    await resync(harness)
    assert len(harness.cluster.writes) == before
    await harness.stop()


async def test_changed_version_is_not_removed_before_it_is_read_again(harness: OperatorHarness) -> None:
    harness.apply(model())
    await harness.play()

    def edit(_: int, call: Call) -> None:
        if call == Call("delete", "controllerrevisions", "model-m-1") and not edits:
            edits.append(call)
            patch = {"metadata": {"annotations": {"team": "ml"}}}
            harness.cluster.change(REVISIONS, "default", "model-m-1", patch)

    edits: list[Call] = []
    harness.cluster.fault = edit
    await change(harness, 2, 4)
    assert edits
    deletions = [call for call in harness.cluster.calls if call.verb == "delete"]
    assert [call.name for call in deletions] == ["model-m-1", "model-m-1"]
    assert versions(harness, "Model") == [2, 3, 4]


async def test_log_of_another_owner_stays(harness: OperatorHarness) -> None:
    harness.apply(*sample_objects()[:3])
    await harness.play()
    foreign = harness.cluster.at(CONFIG_MAPS, "image-m-1-log")
    foreign["metadata"]["ownerReferences"][0]["uid"] = "other"
    harness.cluster.collects = False
    await change(harness, 2, 4)
    assert versions(harness, "Image") == [2, 3, 4]
    assert "image-m-1-log" in logs(harness)


async def test_reference_to_a_removed_version_names_the_limit(harness: OperatorHarness) -> None:
    harness.apply(model())
    await harness.play()
    await change(harness, 2, 5)
    harness.apply(manifest(modelIds=["m:1"]))
    await harness.play()
    message = harness.condition("Manifest", "Ready")["message"]
    assert "history.limit" in message
    assert "newest version is 5" in message
