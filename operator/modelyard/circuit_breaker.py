"""A circuit breaker: after several failures in a row, calls are refused for a while.

pybreaker and purgatory measure time with the system's clock only and have one constant pause. This class
takes a clock, so that tests need no real time, and a pause that doubles.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final

from modelyard.backoff import Backoff

_PAUSE: Final = Backoff(first_seconds=15.0, most_seconds=120.0)


class CircuitBreaker:
    """Open after `threshold` failures in a row, then one trial call after each pause until one succeeds.

    The states are those of https://learn.microsoft.com/azure/architecture/patterns/circuit-breaker. The class
    is not thread-safe: one event loop uses it.
    """

    def __init__(
        self, threshold: int = 3, pause: Backoff = _PAUSE, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """`clock` returns seconds."""
        self._threshold = threshold
        self._pause = pause
        self._clock = clock
        self._failures = 0
        self._closed_at = 0.0  # time of the next trial call
        self._is_trial_running = False

    @property
    def seconds_until_trial(self) -> float:
        """Return the seconds for which calls are refused, 0 if a call may start."""
        if self._failures < self._threshold:
            return 0.0
        if self._is_trial_running:
            return self._pause.first_seconds
        return max(self._closed_at - self._clock(), 0.0)

    def begin(self) -> None:
        """Note the start of a call; while the breaker is open, it is the only one."""
        self._is_trial_running = self._failures >= self._threshold

    def succeed(self) -> None:
        """Note the success of a call: the breaker closes."""
        self._failures = 0
        self._is_trial_running = False

    def fail(self) -> None:
        """Note the failure of a call."""
        self._failures += 1
        self._is_trial_running = False
        openings = self._failures - self._threshold + 1
        if openings > 0:
            self._closed_at = self._clock() + self._pause.seconds(openings)

    def abandon(self) -> None:
        """Note a call that ended without a result, because its caller was cancelled."""
        self._is_trial_running = False
