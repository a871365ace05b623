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
        rest: Callable[[float], Any] = time.sleep,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`rest` waits for some seconds, less if the process must end."""
        self._rest = rest
        self._clock = clock
        self._late_at = float("-inf")
        self._work_began = clock()

    def begin(self, seconds: float) -> None:
        """Begin a batch that is late in `seconds`, from 0 for a late one up to LATE_SECONDS."""
        self._late_at = self._clock() + seconds

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
