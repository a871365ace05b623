"""A clock that only tests move."""

from __future__ import annotations

import asyncio
import datetime as dt
from collections.abc import Callable
from dataclasses import dataclass

from modelyard.kube.types import Key


@dataclass(eq=False)
class FakeTimer:
    """A call that a clock makes once its time has come."""

    due: dt.datetime
    call: Callable[[], None]
    is_cancelled: bool = False

    def when(self) -> float:
        return self.due.timestamp()

    def cancel(self) -> None:
        self.is_cancelled = True


class Clock:
    """A time that moves only when a test moves it, with the timers and sleeps that wait for it.

    It serves as the scheduler of a WorkQueue, and as `now` and `sleep` of a Context.
    """

    def __init__(self) -> None:
        self.now = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
        self._timers: list[FakeTimer] = []

    def __call__(self) -> dt.datetime:
        return self.now

    def time(self) -> float:
        return self.now.timestamp()

    def call_later(self, delay: float, callback: Callable[[Key], None], key: Key, /) -> FakeTimer:
        return self._schedule(delay, lambda: callback(key))

    async def sleep(self, seconds: float) -> None:
        """Wait until the clock has moved by `seconds`."""
        moved: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        timer = self._schedule(seconds, lambda: moved.set_result(None))
        try:
            await moved
        finally:
            timer.cancel()

    def next_due(self) -> dt.datetime | None:
        """Return the time of the next call, None if nothing waits for the clock."""
        return min((timer.due for timer in self._timers if not timer.is_cancelled), default=None)

    def move(self, seconds: float) -> None:
        self.move_to(self.now + dt.timedelta(seconds=seconds))

    def move_to(self, moment: dt.datetime) -> None:
        """Move to a later moment and make the calls that are due by then."""
        self.now = max(moment, self.now)
        due = [timer for timer in self._timers if timer.due <= self.now]
        self._timers = [timer for timer in self._timers if timer not in due and not timer.is_cancelled]
        for timer in due:
            if not timer.is_cancelled:
                timer.call()

    def _schedule(self, delay: float, call: Callable[[], None]) -> FakeTimer:
        timer = FakeTimer(self.now + dt.timedelta(seconds=delay), call)
        self._timers.append(timer)
        return timer


class SecondsClock:
    """A monotonic clock, in seconds, that tests set."""

    def __init__(self) -> None:
        self.seconds = 100.0

    def __call__(self) -> float:
        return self.seconds
