"""Waits between attempts."""

from __future__ import annotations

import pytest

from modelyard.backoff import Backoff


@pytest.mark.parametrize(("failures", "seconds"), [(1, 0.5), (2, 1.0), (3, 2.0), (6, 10.0), (100_000, 10.0)])
def test_each_wait_doubles_up_to_the_bound(failures: int, seconds: float) -> None:
    assert Backoff(0.5, 10.0).seconds(failures) == seconds


@pytest.mark.parametrize(("retry_after", "seconds"), [(None, 0.5), (0.1, 0.5), (3.0, 3.0), (60.0, 10.0)])
def test_retry_after_is_a_minimum_within_the_bound(retry_after: float | None, seconds: float) -> None:
    assert Backoff(0.5, 10.0).seconds(1, retry_after) == seconds


def test_jitter_shortens_a_wait_by_at_most_its_fraction() -> None:
    waits = {Backoff(1.0, 10.0, jitter=0.5).seconds(2) for _ in range(200)}
    assert len(waits) > 1
    assert all(1.0 <= wait <= 2.0 for wait in waits)
