"""Rests between the rows of a batch, and batches that allow none."""

from __future__ import annotations

import math
import os
import time
from pathlib import Path

import pytest
from tests.unit.collection.spool_files import (
    HURRY_BYTES,
    LIMITS,
    Clock,
    Harness,
    MemorySink,
    record,
    write_segments,
)
from tests.unit.collection.test_row import ROW

from modelyard.collection.pace import LATE_SECONDS, LONGEST_REST_SECONDS, WORK_SECONDS, Pace
from modelyard.collection.pump import Pump
from modelyard.collection.sink import BatchLimits


def rests(age: float = 0.0, backlog: int = 0, *, rows: int, work: float) -> list[float]:
    """Return the rests of a batch whose rows take some seconds of work each."""
    clock = Clock()
    found: list[float] = []

    def rest(seconds: float) -> None:
        found.append(seconds)
        clock.now += seconds

    pace = Pace(HURRY_BYTES, rest, clock)
    pace.begin(age, backlog)
    for _ in pace.spread(iter([ROW] * rows)):
        clock.now += work
    return found


def test_thread_rests_ten_times_as_long_as_it_works() -> None:
    found = rests(rows=101, work=WORK_SECONDS / 10)
    assert len(found) in (9, 10)
    assert found == pytest.approx([LONGEST_REST_SECONDS] * len(found), rel=0.01)


@pytest.mark.parametrize(
    ("age", "backlog"),
    [(LATE_SECONDS - 1, 0), (0, HURRY_BYTES * 9 // 10), (LATE_SECONDS - 1, HURRY_BYTES // 2)],
)
def test_rests_become_shorter_until_the_batch_is_late(age: float, backlog: int) -> None:
    found = rests(age, backlog, rows=10_000, work=WORK_SECONDS)
    assert found == sorted(found, reverse=True)
    assert found[0] == pytest.approx(LONGEST_REST_SECONDS / LATE_SECONDS, rel=0.01)
    assert 0 < found[-1] < found[0] / 10
    assert len(found) * WORK_SECONDS + sum(found) == pytest.approx(1.0, rel=0.01)


@pytest.mark.parametrize(
    ("age", "backlog"), [(LATE_SECONDS, 0), (math.inf, 0), (0, HURRY_BYTES), (0, 10 * HURRY_BYTES)]
)
def test_late_batch_has_no_rest(age: float, backlog: int) -> None:
    assert rests(age, backlog, rows=100, work=1.0) == []


def test_batch_before_its_time_has_the_longest_rests() -> None:
    assert rests(-60.0, rows=2, work=WORK_SECONDS) == pytest.approx([LONGEST_REST_SECONDS] * 2, rel=0.01)


def paced(folder: Path, *, limits: BatchLimits = LIMITS, body: int = 1) -> tuple[Harness, Pump]:
    """Return a pump with a waiting segment. Each look at the pace's clock takes a millisecond."""
    ticks = iter(range(10**6))
    harness = Harness(folder, MemorySink(), limits=limits, pace_clock=lambda: float(next(ticks)) / 1000)
    write_segments(harness.spool_dir, [[record(f"r{number}", request=b"x" * body) for number in range(9)]])
    return harness, harness.start()


def age(harness: Harness, seconds: float) -> None:
    """Let the segments be as old."""
    written = time.time() - seconds
    for path in harness.spool_dir.iterdir():
        os.utime(path, (written, written))


def test_new_records_are_delivered_with_rests(tmp_path: Path) -> None:
    harness, pump = paced(tmp_path)
    harness.drain(pump)
    assert len(harness.rests) > 2
    assert max(harness.rests) <= LONGEST_REST_SECONDS


@pytest.mark.parametrize("seconds", [LATE_SECONDS, 10**9])
def test_old_records_are_delivered_without_a_rest(tmp_path: Path, seconds: float) -> None:
    harness, pump = paced(tmp_path)
    age(harness, seconds)
    harness.drain(pump)
    assert pump.status.state.totals.rows == 9
    assert harness.rests == []


def test_wait_for_a_large_batch_makes_no_record_late(tmp_path: Path) -> None:
    harness, pump = paced(tmp_path, limits=BatchLimits(seconds=60, size=10**9, segments=9))
    age(harness, 60.5)
    harness.drain(pump)
    assert harness.rests != []


def test_spool_that_fills_is_delivered_without_a_rest(tmp_path: Path) -> None:
    harness, pump = paced(tmp_path, body=HURRY_BYTES // 9)
    harness.drain(pump)
    assert pump.status.state.totals.rows == 9
    assert harness.rests == []


def test_end_of_the_pod_allows_no_rest(tmp_path: Path) -> None:
    harness, pump = paced(tmp_path)
    for _ in range(3):
        pump.step(flush=True)
    assert pump.status.state.totals.rows == 9
    assert harness.rests == []
