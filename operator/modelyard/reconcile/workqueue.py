"""The work queue: a key is worked on by one worker at a time, and a key that comes twice is worked on once.

The semantics are those of client-go's workqueue; Python has no library of it.
"""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Final

from modelyard.kube.types import Key

_FIRST_RETRY: Final = 0.2  # seconds
_LONGEST_RETRY: Final = 120.0  # seconds
_DOUBLINGS: Final = 10  # enough to reach it


class WorkQueue:
    """Keys that wait, keys that are worked on, keys that came again meanwhile, keys that come later."""

    def __init__(self) -> None:
        self._waiting: deque[Key] = deque()
        self._queued: set[Key] = set()
        self._active: set[Key] = set()
        self._again: set[Key] = set()
        self._timers: dict[Key, asyncio.TimerHandle] = {}
        self._failures: dict[Key, int] = {}
        self._available = asyncio.Semaphore(0)

    def __len__(self) -> int:
        return len(self._queued)

    @property
    def idle(self) -> bool:
        """Whether nothing waits and nothing is worked on; timers do not count."""
        return not self._queued and not self._active

    def add(self, key: Key) -> None:
        """Work on the key soon; once more afterwards when it is being worked on now."""
        if timer := self._timers.pop(key, None):
            timer.cancel()
        if key in self._active:
            self._again.add(key)
        elif key not in self._queued:
            self._queued.add(key)
            self._waiting.append(key)
            self._available.release()

    def add_after(self, key: Key, seconds: float) -> None:
        """Work on the key after a delay, or sooner when it comes sooner."""
        loop = asyncio.get_running_loop()
        timer = self._timers.get(key)
        if timer and timer.when() <= loop.time() + seconds:
            return
        if timer:
            timer.cancel()
        self._timers[key] = loop.call_later(seconds, self.add, key)

    async def get(self) -> Key:
        """The next key, which is being worked on until `done`."""
        await self._available.acquire()
        key = self._waiting.popleft()
        self._queued.discard(key)
        self._active.add(key)
        return key

    def done(self, key: Key) -> None:
        """The key is no longer worked on."""
        self._active.discard(key)
        if key in self._again:
            self._again.discard(key)
            self.add(key)

    def retry(self, key: Key) -> float:
        """Work on a key that failed again, later each time; the delay in seconds."""
        failures = self._failures.get(key, 0)
        self._failures[key] = failures + 1
        delay = min(_FIRST_RETRY * 2.0 ** min(failures, _DOUBLINGS), _LONGEST_RETRY)
        self.add_after(key, delay)
        return delay

    def failures(self, key: Key) -> int:
        """How often a key has failed since it last succeeded."""
        return self._failures.get(key, 0)

    def forget(self, key: Key) -> None:
        """The key succeeded: its next failure is its first."""
        self._failures.pop(key, None)
