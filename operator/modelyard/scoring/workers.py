"""The threads in which the driver runs, and the queue before them.

Own threads on a queue.SimpleQueue, results back by call_soon_threadsafe: anyio's threads reach a quarter of
the requests per second. They are daemons: a run() that never ends must not keep the process alive.
"""

import asyncio
import queue
import threading
import time
from collections.abc import Callable
from typing import Generic, TypeVar

T = TypeVar("T")

MAX_WAITING = 1000
"""Requests in the queue at most, with those that gave up and that no worker has seen since. The time limit
bounds the wait; this keeps the memory finite while a run() is stuck."""


class BusyError(Exception):
    """All workers were busy for as long as the call may wait, or the queue is full. It was never started."""


class RunTimeoutError(Exception):
    """The call took longer than it may. Its thread goes on with it and stays busy until it ends."""


class _Job(Generic[T]):
    """One call on its way. Either a worker or the wait limit claims it, never both."""

    __slots__ = ("_claim", "future", "started_at", "timer", "work")

    def __init__(self, work: Callable[[], T], future: asyncio.Future[T]) -> None:
        self.work = work
        self.future = future
        self.started_at: float | None = None
        self.timer: asyncio.TimerHandle | None = None
        self._claim = threading.Lock()

    def claim(self) -> bool:
        """True for the first who asks."""
        return self._claim.acquire(blocking=False)


class Workers:
    """A fixed number of daemon threads that run one call each at a time, first come first served."""

    def __init__(self, count: int) -> None:
        self._count = count
        self._unfinished = 0  # queued or running; touched on the event loop only
        self._jobs: queue.SimpleQueue[_Job[object]] = queue.SimpleQueue()

    def start(self) -> None:
        """Starts the threads; call it on the running event loop, which is where the results go."""
        self._loop = asyncio.get_running_loop()
        for number in range(self._count):
            threading.Thread(target=self._work, name=f"driver-{number}", daemon=True).start()

    @property
    def full(self) -> bool:
        """Whether a call would be refused right now."""
        return self._unfinished >= self._count + MAX_WAITING

    async def call(self, work: Callable[[], T]) -> T:
        """The result of work(), run in a worker, without a limit."""
        return await self._enqueue(work).future

    async def call_within(self, work: Callable[[], T], *, wait_seconds: float, run_seconds: float) -> T:
        """The result of work(), run in a worker.

        Raises BusyError when no worker took it within wait_seconds, RunTimeoutError when it ran longer than
        run_seconds, and whatever work() raises.
        """
        if self.full:
            raise BusyError
        job = self._enqueue(work)
        self._watch(job, time.monotonic() + wait_seconds, run_seconds)
        try:
            return await job.future
        finally:
            if job.timer:
                job.timer.cancel()

    def _enqueue(self, work: Callable[[], T]) -> _Job[T]:
        job = _Job(work, self._loop.create_future())
        self._unfinished += 1
        self._jobs.put(job)
        return job

    def _watch(self, job: _Job[T], wait_until: float, run_seconds: float) -> None:
        """Ends the job when a limit is over; else comes back when that may be so. One timer a request."""
        now = time.monotonic()
        if job.started_at is not None:
            left = job.started_at + run_seconds - now
            if left <= 0:
                self._settle(job, error=RunTimeoutError())
                return
        else:
            left = min(wait_until - now, run_seconds)
            if left <= 0:
                if job.claim():
                    del job.work  # and with it the request's body
                    self._settle(job, error=BusyError())
                    return
                left = run_seconds  # a worker claimed it a moment ago
        job.timer = self._loop.call_later(left, self._watch, job, wait_until, run_seconds)

    def _work(self) -> None:
        while True:
            job = self._jobs.get()
            result, error = None, None
            if job.claim():
                job.started_at = time.monotonic()
                try:
                    result = job.work()
                except BaseException as raised:
                    error = raised
            try:
                self._loop.call_soon_threadsafe(self._finish, job, result, error)
            except RuntimeError:  # the loop is closed: the process is ending
                return
            del job, result, error  # hold nothing of this request while waiting for the next

    def _finish(self, job: _Job[T], result: T, error: BaseException | None) -> None:
        self._unfinished -= 1
        self._settle(job, result, error)

    @staticmethod
    def _settle(job: _Job[T], result: T | None = None, error: BaseException | None = None) -> None:
        if job.future.done():  # nobody waits any more: it gave up, timed out, or the drain time is over
            return
        if error is None:
            job.future.set_result(result)  # type: ignore[arg-type]  # T may itself be None
        else:
            job.future.set_exception(error)
