"""The line of builds that wait for a free slot: a bounded number run at once, in all and for each namespace.

The next build is one of the namespace with the fewest running builds. Among equal namespaces it is the one
whose last build started first. So a namespace with many Images never keeps another one waiting. The line is
in memory only. After a restart the running Jobs are counted, and the waiting Images enter again.
"""

from __future__ import annotations

import bisect
import itertools
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Final, NamedTuple

from modelyard.kube.types import Key
from modelyard.metrics import BUILDS_RUNNING, BUILDS_WAITING
from modelyard.reconcile.cache.build_jobs import BuildJobCache
from modelyard.settings import BuildSettings

_EXACT_PLACES: Final = 10
_STEPS: Final = (2, 5, 10)  # places further back are rounded up to 20, 50, 100, 200 and so on


class _Entry(NamedTuple):
    """A build in the line, in the order of its namespace."""

    since: str  # timestamp
    number: int  # order of arrival
    image: Key


class BuildLine:
    """The builds that wait, and those whose Job is being created."""

    def __init__(self, jobs: BuildJobCache, settings: BuildSettings, on_turn: Callable[[Key], None]) -> None:
        """`on_turn` is called with an Image whose build may start."""
        self._jobs = jobs
        self._settings = settings
        self._on_turn = on_turn
        self._entries: dict[Key, _Entry] = {}
        self._waiting: dict[str, list[_Entry]] = {}  # by namespace, sorted
        self._starting: set[Key] = set()
        self._last_start: dict[str, int] = {}
        self._numbers = itertools.count(1)

    def is_waiting(self, image: Key) -> bool:
        """Return whether an Image is in the line."""
        return image in self._entries

    def admit(self, image: Key, since: str) -> int:
        """Return 0 if the build of an Image may start, else its place in the line, which counts from 1.

        A build that may start holds its slot until `leave`. `since` is a timestamp: builds of one namespace
        start in its order.
        """
        if image in self._starting:
            return 0
        if image not in self._entries:
            entry = self._entries[image] = _Entry(since, next(self._numbers), image)
            bisect.insort(self._waiting.setdefault(image.namespace, []), entry)
        running = self._running()
        if self._may_start(image, running):
            self._remove(image)
            self._starting.add(image)
            self._last_start[image.namespace] = next(self._numbers)
            self._publish()
            return 0
        self._publish()
        return self._ahead(image, running, limit=None) + 1

    def leave(self, image: Key) -> None:
        """Remove an Image whose Job exists, or that needs no build now, and give its slot to the next one."""
        if image in self._starting:
            self._starting.discard(image)
        elif image in self._entries:
            self._remove(image)
        else:
            return
        self.wake()

    def wake(self) -> None:
        """Call `on_turn` for each build that may start, for example after a Job has ended."""
        running = self._running()
        for image in self._candidates(running):
            if self._may_start(image, running):
                self._on_turn(image)
        self._publish()

    def _candidates(self, running: Counter[str]) -> Iterator[Key]:
        """Yield the first builds of each namespace, as many as there are free slots."""
        free = self._free(running)
        for entries in self._waiting.values():
            yield from (entry.image for entry in entries[: max(free, 0)])

    def _running(self) -> Counter[str]:
        """Return the number of running and starting builds by namespace."""
        return Counter(image.namespace for image in (*self._jobs.running(), *self._starting))

    def _free(self, running: Counter[str]) -> int:
        return self._settings.concurrent - running.total()

    def _may_start(self, image: Key, running: Counter[str]) -> bool:
        limit = self._settings.concurrent_per_namespace or self._settings.concurrent
        level = running[image.namespace] + self._index(image)
        return level < limit and self._ahead(image, running, limit=limit) < self._free(running)

    def _ahead(self, image: Key, running: Counter[str], *, limit: int | None) -> int:
        """Return the number of builds that start before the build of an Image.

        The order is that of the number of running builds that the namespace then has. With `limit`, only
        builds count that the limit of their own namespace lets start now.
        """
        own, index = image.namespace, self._index(image)
        level = running[own] + index
        ahead = index
        for namespace, entries in self._waiting.items():
            if namespace == own:
                continue
            is_first = self._turn(namespace) < self._turn(own)
            sooner = level - running[namespace] + (1 if is_first else 0)
            most = len(entries) if limit is None else min(len(entries), limit - running[namespace])
            ahead += max(min(sooner, most), 0)
        return ahead

    def _turn(self, namespace: str) -> tuple[int, int]:
        """Return the order of a namespace among those with equally many running builds."""
        return self._last_start.get(namespace, 0), self._waiting[namespace][0].number

    def _index(self, image: Key) -> int:
        return bisect.bisect_left(self._waiting[image.namespace], self._entries[image])

    def _remove(self, image: Key) -> None:
        entries = self._waiting[image.namespace]
        del entries[bisect.bisect_left(entries, self._entries.pop(image))]
        if not entries:
            del self._waiting[image.namespace]

    def _publish(self) -> None:
        BUILDS_RUNNING.set(self._running().total())
        BUILDS_WAITING.set(len(self._entries))


def describe_place(place: int) -> str:
    """Return a place in the line as words; places after the tenth are rounded up, so that few writes follow.

    Each build that starts moves all others: exact places would be a write for each of them.
    """
    if place <= _EXACT_PLACES:
        return f"place {place} in the line"
    scale = _EXACT_PLACES
    while True:
        for step in _STEPS:
            if place <= step * scale:
                return f"among the first {step * scale} in the line"
        scale *= 10
