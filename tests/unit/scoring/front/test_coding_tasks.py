"""Work for requests beside the event loop: its end, its cancellation, and its errors."""

import asyncio
import threading

import pytest

from modelyard.scoring.front.coding_tasks import CodingTasks
from modelyard.scoring.front.messages import HttpRequest


class Connection:
    """A connection that counts how often it was aborted."""

    aborted = 0

    def abort(self) -> None:
        self.aborted += 1


def new_request() -> HttpRequest:
    return HttpRequest(Connection(), 0.0)  # type: ignore[arg-type]


async def test_tasks_are_busy_until_a_step_in_the_thread_has_ended() -> None:
    tasks, gate = CodingTasks(), threading.Event()

    async def work() -> None:
        assert await tasks.step(gate.wait, 10)

    tasks.start(new_request(), work())
    await asyncio.sleep(0)
    assert tasks.busy
    gate.set()
    while tasks.busy:
        await asyncio.sleep(0.001)


async def test_cancelled_work_goes_no_further_than_its_step() -> None:
    tasks, gate, request = CodingTasks(), threading.Event(), new_request()
    reached: list[str] = []

    async def work() -> None:
        await tasks.step(gate.wait, 10)
        reached.append("the next step")

    tasks.start(request, work())
    await asyncio.sleep(0)
    tasks.cancel(request)
    gate.set()
    await tasks.step(bool)  # the thread is free again
    assert (tasks.busy, reached) == (False, [])


async def test_error_of_the_server_ends_the_connection(caplog: pytest.LogCaptureFixture) -> None:
    tasks, request = CodingTasks(), new_request()

    async def work() -> None:
        raise KeyError("a defect")

    tasks.start(request, work())
    while tasks.busy:
        await asyncio.sleep(0)
    assert request.connection.aborted == 1  # type: ignore[attr-defined]
    assert "a connection is closed" in caplog.text


async def test_next_work_for_a_request_replaces_the_one_that_starts_it() -> None:
    tasks, request, gate = CodingTasks(), new_request(), threading.Event()

    async def last() -> None:
        await tasks.step(gate.wait, 10)

    async def first() -> None:
        tasks.start(request, last())

    tasks.start(request, first())
    for _ in range(5):
        await asyncio.sleep(0)
    assert tasks.busy
    gate.set()
    while tasks.busy:
        await asyncio.sleep(0.001)
