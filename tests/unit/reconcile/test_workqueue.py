"""The work queue: one worker per key, once per key, later and earlier."""

from __future__ import annotations

import asyncio
import random
from collections import Counter

import pytest

from modelyard.kube.types import Key
from modelyard.reconcile.workqueue import WorkQueue

A, B = Key("Model", "default", "a"), Key("Model", "default", "b")


@pytest.fixture
def queue() -> WorkQueue:
    return WorkQueue()


async def test_first_come_first_served_and_each_once(queue: WorkQueue) -> None:
    for key in (A, B, A):
        queue.add(key)
    assert len(queue) == 2
    assert [await queue.get(), await queue.get()] == [A, B]
    assert len(queue) == 0


async def test_a_key_that_is_worked_on_comes_again_afterwards_and_once(queue: WorkQueue) -> None:
    queue.add(A)
    await queue.get()
    queue.add(A)
    queue.add(A)
    assert len(queue) == 0
    queue.done(A)
    assert await queue.get() == A
    queue.done(A)
    assert queue.idle


async def test_idle_is_nothing_waiting_and_nothing_worked_on(queue: WorkQueue) -> None:
    assert queue.idle
    queue.add(A)
    assert not queue.idle
    await queue.get()
    assert not queue.idle
    queue.done(A)
    assert queue.idle


@pytest.mark.parametrize(("delays", "first"), [((0.01, 60), True), ((60, 0.01), True), ((60, 50), False)])
async def test_the_earliest_timer_counts(queue: WorkQueue, delays: tuple[float, float], first: bool) -> None:
    for delay in delays:
        queue.add_after(A, delay)
    await asyncio.sleep(0.03)
    assert (len(queue) == 1) is first


async def test_what_comes_sooner_replaces_the_timer(queue: WorkQueue) -> None:
    queue.add_after(A, 0.01)
    queue.add(A)
    await queue.get()
    queue.done(A)
    await asyncio.sleep(0.03)
    assert queue.idle


async def test_retries_come_later_each_time_up_to_a_bound(queue: WorkQueue) -> None:
    delays = [queue.retry(A) for _ in range(2000)]
    assert delays[:4] == [0.2, 0.4, 0.8, 1.6]
    assert delays == sorted(delays)
    assert delays[-1] == 120
    assert queue.retry(B) == 0.2
    queue.forget(A)
    assert queue.retry(A) == 0.2


@pytest.mark.parametrize("seed", range(50))
async def test_under_any_schedule_nothing_is_lost_and_nothing_runs_twice_at_once(seed: int) -> None:
    """What was added last is seen by a run that began after it."""
    rng = random.Random(seed)
    keys = [Key("Model", "default", name) for name in "abc"]
    queue = WorkQueue()
    added: Counter[Key] = Counter()
    seen: Counter[Key] = Counter()
    active: set[Key] = set()

    async def pause() -> None:
        for _ in range(rng.randrange(4)):
            await asyncio.sleep(0)

    async def work() -> None:
        while True:
            key = await queue.get()
            assert key not in active
            active.add(key)
            seen[key] = added[key]
            await pause()
            active.discard(key)
            queue.done(key)

    workers = [asyncio.create_task(work()) for _ in range(rng.randint(1, 4))]
    for _ in range(100):
        key = rng.choice(keys)
        added[key] += 1
        queue.add(key)
        await pause()
    while not queue.idle:
        await asyncio.sleep(0)
    assert not any(worker.done() for worker in workers)
    for worker in workers:
        worker.cancel()
    assert seen == added
