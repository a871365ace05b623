"""Registry lookups outside the workers: a worker starts a lookup, and the answer queues the Image again.

A worker that waited for a registry would keep all other objects waiting, because workers are few.
"""

from __future__ import annotations

import asyncio
import datetime as dt
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any, Final, NamedTuple, TypeVar, cast

from modelyard.kube.types import Key

T = TypeVar("T")

QUIET_SECONDS: Final = 2.0
"""Seconds without an answer after which the status says that the Image waits for the registry."""


class Pending(NamedTuple):
    """A lookup without an answer."""

    seconds: float  # since its start


@dataclass
class _Lookup:
    token: str
    started: dt.datetime
    task: asyncio.Task[Any]


class BackgroundLookups:
    """The lookups of Images, at most one for each Image."""

    def __init__(self, on_answer: Callable[[Key], None], now: Callable[[], dt.datetime]) -> None:
        """`on_answer` is called with the Image of a lookup that has ended."""
        self._on_answer = on_answer
        self._now = now
        self._lookups: dict[Key, _Lookup] = {}

    def poll(self, image: Key, token: str, look_up: Callable[[], Coroutine[Any, Any, T]]) -> T | Pending:
        """Return the result of an Image's lookup once, or start the lookup.

        A lookup with another token is stale and is cancelled. Raises the error of the lookup.
        """
        lookup = self._lookups.get(image)
        if lookup is None or lookup.token != token:
            self.forget(image)
            task = asyncio.create_task(look_up())
            task.add_done_callback(lambda done: self._end(image, done))
            self._lookups[image] = _Lookup(token, self._now(), task)
            return Pending(0.0)
        if not lookup.task.done():
            return Pending((self._now() - lookup.started).total_seconds())
        del self._lookups[image]
        return cast("T", lookup.task.result())

    def forget(self, image: Key) -> None:
        """Cancel the lookup of an Image, if there is one, and drop its result."""
        if lookup := self._lookups.pop(image, None):
            lookup.task.cancel()

    async def close(self) -> None:
        """Cancel all lookups and wait for their end."""
        tasks = [lookup.task for lookup in self._lookups.values()]
        self._lookups.clear()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _end(self, image: Key, task: asyncio.Task[Any]) -> None:
        lookup = self._lookups.get(image)
        if task.cancelled() or lookup is None or lookup.task is not task:
            return
        task.exception()  # marks the error as read, also if the Image is deleted before it is polled
        self._on_answer(image)
