"""Spreads the work for a batch over time, so that requests on the same cores wait little."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any, Final

from modelyard.collection.row import Row

WORK_SECONDS: Final = 0.0003
"""Work between two rests. The scheduler gives a core for milliseconds to a thread that does not sleep."""
LONGEST_REST_SECONDS: Final = 0.003
"""A tenth of a core is left for the work, some 5,000 small records in a second."""
LATE_SECONDS: Final = 10.0
"""Rests become shorter as the records get older. From this age on there is none."""


class Pace:
    """Lets the thread of one sink rest between rows. The thread that delivers calls it."""

    def __init__(
        self,
        hurry_bytes: int,
        rest: Callable[[float], Any] = time.sleep,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`rest` waits for some seconds, less if the process must end.

        Records of `hurry_bytes` are delivered as fast as possible: the spool fills.
        """
        self._hurry_bytes = hurry_bytes
        self._rest = rest
        self._clock = clock
        self._late_at = float("-inf")
        self._work_began = clock()

    def begin(self, age: float, backlog: int) -> None:
        """Begin a batch. It has waited for `age` seconds, and `backlog` bytes of records are in the spool."""
        spare = 1 - backlog / self._hurry_bytes
        self._late_at = self._clock() + min(LATE_SECONDS - age, LATE_SECONDS, LATE_SECONDS * spare)

    def spread(self, rows: Iterator[Row]) -> Iterator[Row]:
        """Yield the rows, with rests between them."""
        clock = self._clock
        for row in rows:
            yield row
            now = clock()
            if now - self._work_began < WORK_SECONDS:
                continue
            if now < self._late_at:
                self._rest(LONGEST_REST_SECONDS * (self._late_at - now) / LATE_SECONDS)
            self._work_began = clock()
