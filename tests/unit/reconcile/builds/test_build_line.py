"""The line of builds: bounded, fair among namespaces, and restored by a restart."""

from __future__ import annotations

import random
import re
from collections import Counter
from typing import Any

import pytest
from tests.unit.fake_api_server import Call
from tests.unit.operator_harness import OperatorHarness, image, manifest, model

from modelyard.api.labels import BUILD_IMAGE
from modelyard.api.resources import CUSTOM_RESOURCES
from modelyard.kube.types import JOBS, Json, Key
from modelyard.reconcile.builds.build_line import BuildLine, describe_place
from modelyard.reconcile.cache.build_jobs import BuildJobCache
from modelyard.settings import BuildSettings, OperatorSettings


def key(namespace: str, number: int = 1) -> Key:
    return Key("Image", namespace, f"i{number}")


class Jobs(BuildJobCache):
    """Build Jobs that the test starts and ends."""

    def __init__(self) -> None:
        super().__init__()
        self.images_running: list[Key] = []

    def running(self) -> list[Key]:
        return list(self.images_running)


class Line:
    """A line of builds whose turns are recorded."""

    def __init__(self, concurrent: int, per_namespace: int = 0) -> None:
        self.jobs = Jobs()
        self.turns: list[Key] = []
        settings = BuildSettings(concurrent=concurrent, concurrent_per_namespace=per_namespace)
        self.line = BuildLine(self.jobs, settings, self.turns.append)

    def start(self, image: Key) -> None:
        """Create the Job of an admitted build."""
        self.jobs.images_running.append(image)
        self.line.leave(image)

    def enter(self, *images: Key) -> list[int]:
        """Return the places of Images; those with the place 0 start."""
        places = []
        for image_ in images:
            places.append(self.line.admit(image_, "2026-01-01T00:00:00Z"))
            if places[-1] == 0:
                self.start(image_)
        return places

    def end(self, image: Key) -> list[Key]:
        """End a build; return the builds that start instead."""
        self.jobs.images_running.remove(image)
        self.turns.clear()
        self.line.wake()
        started = list(dict.fromkeys(self.turns))
        for next_ in started:
            assert self.line.admit(next_, "") == 0
            self.start(next_)
        return started


def test_builds_beyond_the_limit_get_places_in_order() -> None:
    line = Line(2)
    assert line.enter(*(key("a", number) for number in range(5))) == [0, 0, 1, 2, 3]
    assert line.end(key("a", 0)) == [key("a", 2)]
    assert line.enter(key("a", 3), key("a", 4)) == [1, 2]


def test_limit_of_a_namespace_leaves_slots_to_others() -> None:
    line = Line(3, per_namespace=2)
    assert line.enter(*(key("a", number) for number in range(4)), key("b")) == [0, 0, 1, 2, 0]
    assert line.end(key("b")) == []
    assert line.end(key("a", 0)) == [key("a", 2)]


def test_namespace_with_fewer_running_builds_goes_first() -> None:
    line = Line(2)
    assert line.enter(*(key("a", number) for number in range(6))) == [0, 0, 1, 2, 3, 4]
    assert line.enter(key("b", 1), key("b", 2)) == [1, 2]
    assert line.end(key("a", 0)) == [key("b", 1)]
    assert line.end(key("a", 1)) == [key("a", 2)]


def test_one_slot_is_shared_in_turn() -> None:
    line = Line(1)
    line.enter(*(key("a", number) for number in range(5)))
    line.enter(key("b", 1), key("b", 2), key("c", 1))
    order = []
    running = key("a", 0)
    while started := line.end(running):
        (running,) = started
        order.append(running.namespace)
    assert order[:3] in (["b", "c", "a"], ["c", "b", "a"])
    assert Counter(order) == {"a": 4, "b": 2, "c": 1}


def test_retry_does_not_overtake_earlier_builds_of_its_namespace() -> None:
    line = Line(1)
    line.enter(key("a", 0))
    assert line.line.admit(key("a", 1), "2026-01-01T00:00:05Z") == 1
    assert line.line.admit(key("a", 2), "2026-01-01T00:00:09Z") == 2
    assert line.line.admit(key("a", 3), "2026-01-01T00:00:07Z") == 2


def test_slot_of_a_build_that_does_not_start_is_given_away() -> None:
    line = Line(1)
    assert line.line.admit(key("a", 1), "") == 0
    assert line.line.admit(key("a", 2), "") == 1
    line.line.leave(key("a", 1))
    assert line.turns == [key("a", 2)]


@pytest.mark.parametrize("seed", range(20))
def test_every_build_starts_and_no_limit_is_exceeded(seed: int) -> None:
    chance = random.Random(seed)
    total, per_namespace = chance.randint(1, 5), chance.randint(0, 3)
    line = Line(total, per_namespace)
    images = [key(chance.choice("abc"), number) for number in range(40)]
    started = set()
    for image_ in images:
        if line.enter(image_) == [0]:
            started.add(image_)
        if chance.random() < 0.3 and line.jobs.images_running:
            started.update(line.end(chance.choice(line.jobs.images_running)))
        running = Counter(image_.namespace for image_ in line.jobs.images_running)
        assert running.total() <= total
        assert max(running.values(), default=0) <= (per_namespace or total)
    while line.jobs.images_running:
        started.update(line.end(chance.choice(line.jobs.images_running)))
    assert started == set(images)


def test_places_are_exact_at_first_and_rounded_further_back() -> None:
    assert [describe_place(place) for place in (1, 10, 11, 20, 21, 99, 101, 1001)] == [
        "place 1 in the line",
        "place 10 in the line",
        "among the first 20 in the line",
        "among the first 20 in the line",
        "among the first 50 in the line",
        "among the first 100 in the line",
        "among the first 200 in the line",
        "among the first 2000 in the line",
    ]


def limited(**build: Any) -> OperatorHarness:
    return OperatorHarness(OperatorSettings.model_validate({"build": build}))


def apply_images(harness: OperatorHarness, namespace: str, count: int) -> None:
    for body in (model(), manifest(), *(image(f"i{number}") for number in range(count))):
        harness.cluster.apply(body, namespace)


def running(harness: OperatorHarness) -> list[str]:
    """Return the namespaces of the build Jobs that have not ended."""
    return [
        job["metadata"]["annotations"][BUILD_IMAGE].partition("/")[0]
        for job in harness.cluster.all(JOBS)
        if "status" not in job
    ]


def image_status(harness: OperatorHarness, name: str, namespace: str = "default") -> Json:
    status: Json = harness.cluster.at(CUSTOM_RESOURCES["Image"], name, namespace)["status"]
    return status


async def test_waiting_build_has_its_place_in_the_status() -> None:
    harness = limited(concurrent=1)
    await harness.start()
    apply_images(harness, "default", 3)
    await harness.settle()
    assert len(running(harness)) == 1
    states = Counter(image_status(harness, f"i{number}")["state"] for number in range(3))
    assert states == {"Running": 1, "NotStarted": 2}
    messages = {
        re.sub("^.*: ", "", condition["message"])
        for number in range(3)
        for condition in image_status(harness, f"i{number}")["conditions"]
        if condition["reason"] == "BuildQueued"
    }
    assert messages == {"place 1 in the line", "place 2 in the line"}
    writes = len(harness.cluster.writes)
    await harness.play(seconds=300, alone=True)
    assert [call for call in harness.cluster.writes[writes:] if call.resource == "images"] == []
    await harness.play()
    assert harness.builds == 3
    await harness.stop()


async def test_limits_hold_for_all_namespaces_and_across_a_restart() -> None:
    harness = limited(concurrent=3, concurrentPerNamespace=2)
    most: Counter[str] = Counter()

    def observe(_: int, call: Call) -> None:
        if (call.verb, call.resource) == ("create", JOBS.plural):
            now = Counter(running(harness))
            most["all"] = max(most["all"], now.total() + 1)

    harness.cluster.fault = observe
    await harness.start()
    apply_images(harness, "a", 12)
    apply_images(harness, "b", 2)
    await harness.settle()
    assert Counter(running(harness)) == {"a": 2, "b": 1}
    await harness.stop()
    await harness.start()
    await harness.settle()
    assert Counter(running(harness)) == {"a": 2, "b": 1}
    await harness.play(seconds=3600)
    assert harness.builds == 14
    assert most["all"] == 3
    await harness.stop()


async def test_deleted_image_gives_its_slot_to_the_next_one() -> None:
    harness = limited(concurrent=1)
    await harness.start()
    apply_images(harness, "default", 2)
    await harness.settle()
    (job,) = harness.cluster.all(JOBS)
    first = job["metadata"]["annotations"][BUILD_IMAGE].partition("/")[2]
    harness.cluster.remove(CUSTOM_RESOURCES["Image"], "default", first)
    await harness.settle()
    (job,) = harness.cluster.all(JOBS)
    assert job["metadata"]["annotations"][BUILD_IMAGE] != f"default/{first}"
    await harness.stop()
