"""kopf's events in the cache and the queue, and the comparison that finds missed ones."""

from __future__ import annotations

import weakref
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest
from tests.unit.fake_api_server import Call
from tests.unit.operator_harness import OperatorHarness, model, sample_objects

from modelyard.api.kinds import MODEL
from modelyard.api.resources import CUSTOM_RESOURCES
from modelyard.controller.custom_objects import CustomObjects
from modelyard.kube.errors import Unavailable
from modelyard.kube.types import REVISIONS, Json, Key, Page
from modelyard.settings import OperatorSettings

KEY = Key("Model", "default", "m")


async def test_start_waits_for_a_list_that_fails(harness: OperatorHarness) -> None:
    await harness.stop()
    harness.apply(*sample_objects())
    failures = [3]

    def fail(_: int, call: Call) -> None:
        if call == Call("list", "models") and failures[0]:
            failures[0] -= 1
            raise Unavailable("away")

    harness.cluster.fault = fail
    await harness.start()
    assert failures == [0]
    assert harness.cache.objects.get(KEY) is not None
    harness.cluster.fault = lambda number, call: None


@pytest.mark.parametrize(
    "listing", [lambda objects: objects.list_in(None), lambda objects: objects.compare(MODEL.name)]
)
async def test_list_releases_each_page_before_the_next_one(
    harness: OperatorHarness,
    monkeypatch: pytest.MonkeyPatch,
    listing: Callable[[CustomObjects], Awaitable[None]],
) -> None:
    """A page of 4 MiB takes 17 MB once it is decoded."""

    class Items(list[Json]):
        pass

    async def pages(*_: Any, **__: Any) -> AsyncIterator[Page]:
        page = Page(Items(), "more", "1")
        items = weakref.ref(page.items)
        yield page
        del page
        released.append(items() is None)
        yield Page([], None, "1")

    released: list[bool] = []
    monkeypatch.setattr(harness.cluster, "pages", pages)
    await listing(harness.controller.custom_objects)
    assert released
    assert all(released)


@pytest.mark.parametrize("kind", CUSTOM_RESOURCES)
async def test_deletion_during_a_gap_of_the_watch_is_found_after_the_next_list(
    serving: OperatorHarness, kind: str
) -> None:
    """Orphaned revisions: no event of a child leads to the deleted object."""
    serving.cluster.collects = False
    serving.cluster.hang_up()
    serving.cluster.remove(CUSTOM_RESOURCES[kind], "default", "m", reported=False)
    serving.apply(model("another"))
    serving.cluster.compact()
    await serving.play()
    assert serving.cache.objects.get(Key(kind, "default", "m")) is None


async def test_deletion_of_the_only_object_during_a_gap_is_found_by_the_resync() -> None:
    """A list without objects makes no event, so nothing starts a comparison before the resync."""
    harness = OperatorHarness(OperatorSettings(resync_seconds=600))
    await harness.start()
    harness.apply(model())
    await harness.play(seconds=5)
    harness.cluster.collects = False
    harness.cluster.remove(CUSTOM_RESOURCES["Model"], "default", "m", reported=False)
    await harness.play(seconds=5)
    assert harness.cache.objects.get(KEY) is not None
    await harness.play(seconds=700)
    assert harness.cache.objects.get(KEY) is None
    await harness.stop()


async def test_recreation_during_a_gap_registers_the_new_object(serving: OperatorHarness) -> None:
    before = serving.cluster.at(CUSTOM_RESOURCES["Model"], "m")["metadata"]["uid"]
    serving.cluster.hang_up()
    serving.cluster.remove(CUSTOM_RESOURCES["Model"], "default", "m", reported=False)
    serving.apply(model(url="https://h/other"))
    serving.cluster.compact()
    await serving.play()
    after = serving.cluster.at(CUSTOM_RESOURCES["Model"], "m")["metadata"]["uid"]
    assert after != before
    assert serving.cache.objects.get(KEY) is not None
    assert serving.cluster.at(REVISIONS, "model-m-1")["metadata"]["ownerReferences"][0]["uid"] == after


async def test_late_event_of_an_older_version_changes_nothing(serving: OperatorHarness) -> None:
    old = serving.cluster.at(CUSTOM_RESOURCES["Model"], "m")
    serving.change("Model", url="https://h/2")
    await serving.play()
    serving.controller.observe(MODEL, "MODIFIED", old)
    assert serving.queue.idle
    item = serving.cache.objects.get(KEY)
    assert item is not None
    assert item.spec["url"] == "https://h/2"


async def test_late_deletion_of_an_older_object_changes_nothing(serving: OperatorHarness) -> None:
    old = serving.cluster.at(CUSTOM_RESOURCES["Model"], "m")
    serving.cluster.remove(CUSTOM_RESOURCES["Model"], "default", "m")
    serving.apply(model(url="https://h/2"))
    await serving.play()
    serving.controller.observe(MODEL, "DELETED", old)
    await serving.play()
    assert serving.cache.objects.get(KEY) is not None
    assert serving.summary("Model") == ("m:1", "Succeeded", "Registered")


async def test_readiness_fails_when_kopf_does_not_report_a_change(serving: OperatorHarness) -> None:
    await serving.kopf.stop()
    serving.change("Model", url="https://h/2")
    await serving.controller.custom_objects.compare("Model")
    serving.controller.check_readiness()
    serving.clock.move(61)
    with pytest.raises(RuntimeError, match="kopf has not reported changes of Model objects for 60 s"):
        serving.controller.check_readiness()
    serving.controller.observe(MODEL, "MODIFIED", serving.cluster.at(CUSTOM_RESOURCES["Model"], "m"))
    serving.controller.check_readiness()


async def test_liveness_fails_when_comparisons_show_that_kopf_is_stuck(serving: OperatorHarness) -> None:
    await serving.kopf.stop()
    serving.change("Model", url="https://h/2")
    await serving.controller.custom_objects.compare("Model")
    serving.clock.move(3600)
    serving.controller.check_liveness()  # without a comparison, since the API server may be away
    await serving.controller.custom_objects.compare("Model")
    with pytest.raises(RuntimeError, match="kopf has not reported changes of Model objects for 900 s"):
        serving.controller.check_liveness()


async def test_event_of_another_object_does_not_hide_a_missed_change(serving: OperatorHarness) -> None:
    """One kind has one watch for each namespace: events of one say nothing about the others."""
    await serving.kopf.stop()
    serving.change("Model", url="https://h/2")
    await serving.controller.custom_objects.compare("Model")
    serving.controller.observe(MODEL, "ADDED", serving.cluster.apply(model("another")))
    serving.clock.move(61)
    with pytest.raises(RuntimeError, match="kopf has not reported changes of Model objects"):
        serving.controller.check_readiness()


async def test_readiness_forgets_an_object_that_was_created_and_deleted_without_an_event(
    serving: OperatorHarness,
) -> None:
    await serving.kopf.stop()
    serving.apply(model("brief"))
    await serving.controller.custom_objects.compare("Model")
    serving.cluster.remove(CUSTOM_RESOURCES["Model"], "default", "brief", reported=False)
    await serving.controller.custom_objects.compare("Model")
    serving.clock.move(61)
    serving.controller.check_readiness()


async def test_comparison_repairs_a_change_that_kopf_missed(serving: OperatorHarness) -> None:
    await serving.kopf.stop()
    serving.change("Model", url="https://h/2")
    await serving.controller.custom_objects.compare("Model")
    await serving.play(seconds=1)
    assert serving.summary("Model") == ("m:2", "Succeeded", "Registered")


async def test_comparison_adds_an_object_that_kopf_missed(serving: OperatorHarness) -> None:
    await serving.kopf.stop()
    serving.apply(model("missed"))
    await serving.controller.custom_objects.compare("Model")
    await serving.play(seconds=1)
    assert serving.summary("Model", "missed") == ("missed:1", "Succeeded", "Registered")


async def test_failed_comparison_waits_for_the_next_one(
    serving: OperatorHarness, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(_: int, call: Call) -> None:
        if call.verb == "list":
            raise Unavailable("away")

    serving.cluster.fault = fail
    await serving.controller.custom_objects.compare("Model")
    assert "comparison of Model: away" in caplog.text
    assert serving.cache.objects.get(KEY) is not None
    assert serving.queue.idle
