"""A bound on the calls of one second."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable


class RateLimit:
    """Lets `per_second` calls go on in a second, and those of `burst_seconds` at once.

    `math.inf` calls are no limit.
    """

    def __init__(
        self,
        per_second: float,
        burst_seconds: float = 0.0,
        *,
        monotonic: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ):
        self._gap = 1 / per_second
        self._burst_seconds = burst_seconds
        self._next = 0.0
        self._monotonic = monotonic
        self._sleep = sleep

    async def wait(self) -> None:
        """Wait for a turn, in the order of the calls."""
        now = self._monotonic()
        turn = max(self._next, now - self._burst_seconds)
        self._next = turn + self._gap
        if turn > now:
            await self._sleep(turn - now)
