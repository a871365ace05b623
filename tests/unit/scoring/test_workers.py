"""The queue before the worker threads, where HTTP shows too little of it."""

import asyncio
import threading

import pytest

from modelyard.scoring import workers as module
from modelyard.scoring.workers import BusyError, Workers


async def test_a_stuck_run_cannot_fill_the_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    """Calls that gave up stay in the queue until a worker sees them, and count."""
    monkeypatch.setattr(module, "MAX_WAITING", 3)
    workers = Workers(1)
    workers.start()
    gate = threading.Event()
    stuck = asyncio.create_task(workers.call(gate.wait))
    await asyncio.sleep(0)

    ran: list[int] = []
    waits = [workers.call_within(lambda: ran.append(1), wait_seconds=0.01, run_seconds=60) for _ in range(3)]
    gave_up = await asyncio.gather(*waits, return_exceptions=True)

    assert [type(error) for error in gave_up] == [BusyError] * 3
    assert workers.full
    with pytest.raises(BusyError):
        await workers.call_within(lambda: None, wait_seconds=60, run_seconds=60)

    gate.set()
    assert await stuck
    assert await workers.call(lambda: "free again") == "free again"
    assert not workers.full
    assert ran == []


async def test_what_the_call_raises_is_raised() -> None:
    workers = Workers(1)
    workers.start()

    with pytest.raises(ZeroDivisionError):
        await workers.call_within(lambda: 1 / 0, wait_seconds=60, run_seconds=60)

    assert await workers.call(lambda: "next") == "next"
