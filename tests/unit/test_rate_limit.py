"""The bound on the calls of one second."""

from __future__ import annotations

import math

import pytest
from tests.unit.clock import SecondsClock

from modelyard.rate_limit import RateLimit


@pytest.mark.parametrize(
    ("per_second", "burst_seconds", "waits"),
    [
        (4, 0, [0.25, 0.5, 0.75, 1.0]),
        (2, 1, [0.5, 1.0]),
        (math.inf, 0, []),
    ],
)
async def test_call_above_the_limit_waits(
    per_second: float, burst_seconds: float, waits: list[float]
) -> None:
    found: list[float] = []

    async def sleep(seconds: float) -> None:
        found.append(seconds)

    limit = RateLimit(per_second, burst_seconds, monotonic=SecondsClock(), sleep=sleep)
    for _ in range(5):
        await limit.wait()
    assert found == waits


async def test_pause_gives_no_more_than_the_burst() -> None:
    clock, found = SecondsClock(), []

    async def sleep(seconds: float) -> None:
        found.append(seconds)

    limit = RateLimit(2, 1, monotonic=clock, sleep=sleep)
    await limit.wait()
    clock.seconds += 60
    for _ in range(4):
        await limit.wait()
    assert found == [0.5]
