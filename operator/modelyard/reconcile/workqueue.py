"""The work queue: one worker at a time reconciles a key, and a key that is added twice is reconciled once.

The semantics are those of client-go's workqueue, which no Python library offers:
https://pkg.go.dev/k8s.io/client-go/util/workqueue
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable
from typing import Final, Protocol

from modelyard.backoff import Backoff
from modelyard.kube.types import Key

_BACKOFF: Final = Backoff(first_seconds=0.2, most_seconds=120.0)


class Timer(Protocol):
    """A pending call, such as asyncio.TimerHandle."""

    def when(self) -> float:
        """Return the time of the call, in seconds of the scheduler's clock."""
        ...

    def cancel(self) -> None:
        """Cancel the call."""
        ...


class Scheduler(Protocol):
    """A clock with timers, such as an asyncio event loop."""

    def time(self) -> float:
        """Return the present time in seconds."""
        ...

    def call_later(self, delay: float, callback: Callable[[Key], None], key: Key, /) -> Timer:
        """Call a function with a key after a delay in seconds."""
        ...


class WorkQueue:
    """Keys that wait for a worker, keys in work, and keys with a timer."""

    def __init__(self, scheduler: Scheduler | None = None) -> None:
        """`scheduler` runs the timers; the default is the running event loop."""
        self._scheduler = scheduler
        self._waiting: deque[Key] = deque()
        self._queued: dict[Key, float] = {}  # and the time since which each waits
        self._active: set[Key] = set()
        self._re_added: set[Key] = set()  # added while active
        self._timers: dict[Key, Timer] = {}
        self._failures: dict[Key, int] = {}
        self._available = asyncio.Semaphore(0)

    def __len__(self) -> int:
        """Return the number of keys that wait for a worker."""
        return len(self._queued)

    @property
    def idle(self) -> bool:
        """True if no key waits for a worker and none is in work; timers do not count."""
        return not self._queued and not self._active

    def oldest_seconds(self) -> float:
        """Return the seconds that the first key has waited for a worker, 0 if none waits."""
        return max((self._time() - since for since in list(self._queued.values())), default=0.0)

    def add(self, key: Key) -> None:
        """Queue a key, after its present reconcile if it is in work, and cancel its timer."""
        if timer := self._timers.pop(key, None):
            timer.cancel()
        if key in self._active:
            self._re_added.add(key)
        elif key not in self._queued:
            self._queued[key] = self._time()
            self._waiting.append(key)
            self._available.release()

    def add_after(self, key: Key, seconds: float) -> None:
        """Queue a key after a delay in seconds. Of several timers for a key only the earliest counts."""
        scheduler = self._scheduler or asyncio.get_running_loop()
        timer = self._timers.get(key)
        if timer and timer.when() <= scheduler.time() + seconds:
            return
        if timer:
            timer.cancel()
        self._timers[key] = scheduler.call_later(seconds, self.add, key)

    async def get(self) -> Key:
        """Wait for a key and return it. The key is in work until the caller calls `done`."""
        await self._available.acquire()
        key = self._waiting.popleft()
        del self._queued[key]
        self._active.add(key)
        return key

    def done(self, key: Key) -> None:
        """Mark the work on a key as ended, and queue the key if it was added in the meantime."""
        self._active.discard(key)
        if key in self._re_added:
            self._re_added.discard(key)
            self.add(key)

    def retry(self, key: Key) -> float:
        """Queue a failed key after a delay that doubles with each failure; return the delay in seconds."""
        self._failures[key] = self._failures.get(key, 0) + 1
        delay = _BACKOFF.seconds(self._failures[key])
        self.add_after(key, delay)
        return delay

    def failures(self, key: Key) -> int:
        """Return the number of failures of a key since its last success."""
        return self._failures.get(key, 0)

    def forget(self, key: Key) -> None:
        """Reset the failures of a key that succeeded."""
        self._failures.pop(key, None)

    def _time(self) -> float:
        """Return the seconds of a clock that any thread may read."""
        return self._scheduler.time() if self._scheduler else time.monotonic()
