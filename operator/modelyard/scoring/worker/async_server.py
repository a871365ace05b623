"""The requests of an async driver: tasks on one event loop, as many at once as the worker has places.

A request is cancelled when the front asks for it: its client has left, or its time is over. Then the driver
gets CancelledError where it awaits, and its `finally` blocks run.
"""

import asyncio
import time
from collections import deque
from functools import partial
from typing import Final

from modelyard.scoring.frames import CANCEL, CANCELLED, EXPIRED, Reply
from modelyard.scoring.worker.async_streams import AsyncPieces, send_async_stream
from modelyard.scoring.worker.channel import WorkerChannel, WorkerRequest
from modelyard.scoring.worker.driver import Driver, refusal_of, traceback_text
from modelyard.scoring.worker.inputs import InputError
from modelyard.scoring.worker.loop_watch import LoopWatch
from modelyard.scoring.worker.results import stream_of

CLOSE_SECONDS: Final = 60.0
"""The longest time for the `finally` blocks of requests at the end; the front may end the process sooner."""


class AsyncServer:
    """Runs requests in tasks until the front closes the channel. It is made before the event loop runs."""

    def __init__(self, channel: WorkerChannel, driver: Driver, places: int) -> None:
        self._channel = channel
        self._driver = driver
        self._free = list(range(places))
        """Places without a request; each is a slot of frames.PROGRESS."""
        self._waiting: deque[WorkerRequest] = deque()
        """Requests that the front has sent ahead of their turn."""
        self._tasks: dict[int, asyncio.Task[Reply]] = {}
        """The requests that run, by number."""
        self._closed = asyncio.Event()

    async def serve(self) -> None:
        """Serve until the front closes the channel, then cancel the requests that still run."""
        loop = asyncio.get_running_loop()
        loop.add_reader(self._channel.fileno(), self._read)
        with LoopWatch(loop, self._channel, self._number_of):
            await self._closed.wait()
        for task in self._tasks.values():
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks.values(), timeout=CLOSE_SECONDS)

    def _number_of(self, task: asyncio.Task[object] | None) -> int:
        """Return the number of the request that the task runs, 0 for other tasks. Threads may call it."""
        return next((number for number, one in list(self._tasks.items()) if one is task), 0)

    def _read(self) -> None:
        """Take the requests that have arrived."""
        requests = self._channel.receive_available()
        if requests is None:
            asyncio.get_running_loop().remove_reader(self._channel.fileno())
            self._closed.set()
            return
        for request in requests:
            if request.flags & CANCEL:
                self._cancel(request.number)
            else:
                self._waiting.append(request)
        self._start_waiting()

    def _cancel(self, number: int) -> None:
        task = self._tasks.get(number)
        if task is not None:
            task.cancel()
            return
        for request in self._waiting:
            if request.number == number:
                self._waiting.remove(request)
                self._channel.reply(number, Reply(EXPIRED))
                return

    def _start_waiting(self) -> None:
        while self._waiting and self._free:
            request, slot = self._waiting.popleft(), self._free.pop()
            started_at = self._channel.begin(slot, request)
            if started_at is None:
                self._free.append(slot)
                self._channel.reply(request.number, Reply(EXPIRED))
                continue
            task = asyncio.get_running_loop().create_task(self._run(slot, request, started_at))
            self._tasks[request.number] = task
            task.add_done_callback(partial(self._end, slot, request.number))

    def _end(self, slot: int, number: int, task: asyncio.Task[Reply]) -> None:
        """Send the last reply to a request, and begin the next one in its place."""
        del self._tasks[number]
        self._channel.reply(number, Reply(CANCELLED) if task.cancelled() else task.result())
        self._free.append(slot)
        self._start_waiting()

    async def _run(self, slot: int, request: WorkerRequest, started_at: float) -> Reply:
        """Return the last reply to the request."""
        number = request.number
        reply, pieces = await self._score(request)
        del request  # frees the body before a stream
        reply.started_at = started_at
        if pieces is None:
            return reply
        return await send_async_stream(self._channel, slot, number, reply, pieces, traceback_text)

    async def _score(self, request: WorkerRequest) -> tuple[Reply, AsyncPieces | None]:
        """Call run(). Return its reply, and the pieces of a stream.

        Exceptions of the driver, also SystemExit, are replies as well.
        """
        driver, has_returned = self._driver, False
        pieces: AsyncPieces | None = None
        started = time.perf_counter()
        try:
            arguments, reply_of = driver.prepared(request)
            started = time.perf_counter()
            result = driver.call(**arguments)
            if hasattr(type(result), "__await__"):
                result = await result
            seconds = time.perf_counter() - started
            has_returned = True
            stream = stream_of(result)
            if stream is None:
                reply = reply_of(result)
            else:
                pieces = AsyncPieces(stream)
                reply = await pieces.begin()
                seconds = time.perf_counter() - started
        except InputError as error:
            return refusal_of(error), None
        except BaseException as error:
            if is_cancelled():
                raise
            seconds = time.perf_counter() - started
            return driver.reply_of_error(error, seconds, has_returned=has_returned), None
        reply.seconds = seconds
        return reply, pieces


def is_cancelled() -> bool:
    """Return True if the front has cancelled the request that now runs.

    Another CancelledError is an exception of the driver, such as that of a future that it awaits.
    """
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0
