"""The work queue: one worker per key at a time, each key once, timers and retries."""

from __future__ import annotations

import asyncio
import random
from collections import Counter

import pytest
from tests.unit.clock import Clock

from modelyard.kube.types import Key
from modelyard.reconcile.workqueue import WorkQueue

A, B = Key("Model", "default", "a"), Key("Model", "default", "b")


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def queue(clock: Clock) -> WorkQueue:
    return WorkQueue(clock)


async def test_keys_are_returned_in_order_and_each_once(queue: WorkQueue) -> None:
    for key in (A, B, A):
        queue.add(key)
    assert len(queue) == 2
    assert [await queue.get(), await queue.get()] == [A, B]
    assert len(queue) == 0


async def test_key_added_while_in_work_is_queued_once_afterwards(queue: WorkQueue) -> None:
    queue.add(A)
    await queue.get()
    queue.add(A)
    queue.add(A)
    assert len(queue) == 0
    queue.done(A)
    assert await queue.get() == A
    queue.done(A)
    assert queue.idle


async def test_queue_is_idle_without_waiting_and_active_keys(queue: WorkQueue) -> None:
    assert queue.idle
    queue.add(A)
    assert not queue.idle
    await queue.get()
    assert not queue.idle
    queue.done(A)
    assert queue.idle


@pytest.mark.parametrize("delays", [(10, 60), (60, 10)], ids=str)
async def test_earliest_timer_of_a_key_counts(
    queue: WorkQueue, clock: Clock, delays: tuple[float, float]
) -> None:
    for delay in delays:
        queue.add_after(A, delay)
    clock.move(9.9)
    assert len(queue) == 0
    clock.move(0.1)
    assert await queue.get() == A
    queue.done(A)
    clock.move(60)
    assert queue.idle


async def test_adding_a_key_cancels_its_timer(queue: WorkQueue, clock: Clock) -> None:
    queue.add_after(A, 10)
    queue.add(A)
    await queue.get()
    queue.done(A)
    clock.move(20)
    assert queue.idle


async def test_queue_without_scheduler_uses_the_event_loop() -> None:
    queue = WorkQueue()
    queue.add_after(A, 0)
    assert await queue.get() == A


async def test_retry_delay_doubles_up_to_a_bound(queue: WorkQueue) -> None:
    delays = [queue.retry(A) for _ in range(2000)]
    assert delays[:4] == [0.2, 0.4, 0.8, 1.6]
    assert delays == sorted(delays)
    assert delays[-1] == 120
    assert queue.failures(A) == 2000
    assert queue.retry(B) == 0.2
    queue.forget(A)
    assert queue.retry(A) == 0.2


@pytest.mark.parametrize("seed", range(50))
async def test_no_added_key_is_lost_and_none_is_in_work_twice_at_once(seed: int) -> None:
    """Each addition of a key is followed by a run that starts after it."""
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
