"""The side-car is killed at each of its steps: no row is lost, and none comes under two names."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from tests.unit.collection.spool_files import Harness, MemorySink, ids, write_segments

from modelyard.collection.pump import Pump
from modelyard.collection.sink import BatchLimits
from modelyard.scoring.spool.frame import CHECKSUM, HEAD, HEADER_BYTES


class Killed(BaseException):
    """The process has ended here: no code of it runs after this."""


class Killer:
    """Ends the process before the call with a number, of the calls that change files or the sink."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self._left = -1
        for owner, name in (
            (Path, "rename"),
            (Path, "unlink"),
            (Path, "open"),
            (os, "open"),
        ):
            monkeypatch.setattr(owner, name, self._counted(getattr(owner, name)))
        monkeypatch.setattr(os, "fsync", self._counted(lambda _: None))  # a disk takes milliseconds for it

    def arm(self, calls: int) -> None:
        self._left = calls

    def call(self) -> None:
        if self._left == 0:
            raise Killed
        self._left -= 1

    def _counted(self, function: Any) -> Any:
        def counted(*arguments: Any, **named: Any) -> Any:
            self.call()
            return function(*arguments, **named)

        return counted


@pytest.fixture
def killer(monkeypatch: pytest.MonkeyPatch) -> Killer:
    return Killer(monkeypatch)


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder in memory: a disk takes milliseconds to replace a file, hundreds of times in each test."""
    memory = Path("/dev/shm")
    with tempfile.TemporaryDirectory(dir=memory if memory.is_dir() else None) as name:
        yield Path(name)


def run(harnesses: list[Harness]) -> None:
    """Start the process, and deliver all. A round more deletes the segments that all sinks have."""
    pumps = start(harnesses)
    for _ in range(2):
        for harness, pump in zip(harnesses, pumps, strict=True):
            harness.drain(pump)


def kill_once(harnesses: list[Harness], killer: Killer, calls: int) -> bool:
    """Kill the process before a call, and start another one. Return False if it has ended before."""
    killer.arm(calls)
    try:
        run(harnesses)
    except Killed:
        killer.arm(-1)
        run(harnesses)
        return True
    killer.arm(-1)
    return False


def start(harnesses: list[Harness]) -> list[Pump]:
    journals = [harness.journal() for harness in harnesses]
    return [
        replace(harness, others=[other for other in journals if other is not journal]).start(journal)
        for harness, journal in zip(harnesses, journals, strict=True)
    ]


def check(sink: MemorySink, harness: Harness, rows: int) -> None:
    names = [row.request_id for row in sink.rows()]
    assert sorted(names) == sorted(f"r{number}" for number in range(rows))
    totals = harness.journal().totals
    assert totals.rows == rows
    assert totals.size == 100 * rows
    assert totals.dropped == {"spool_full": 7, "missing": 1}
    assert totals.answered == rows + 7 + 1


def segments() -> Iterator[list[Any]]:
    for number in range(3):
        yield ids(2, start=2 * number)


def fill(folder: Path) -> None:
    """Write three segments, one of which loses a record: the number of one frame is missing."""
    records = list(segments())
    lost = [*records[1], *ids(1, start=99)]
    write_segments(folder, [records[0], lost, records[2]], dropped={"spool_full": 7})
    file = sorted(folder.iterdir())[1]
    content = file.read_bytes()
    file.write_bytes(without_record(content, b"r99"))


def without_record(content: bytes, request_id: bytes) -> bytes:
    """Return a segment without the frame of a record."""
    kept, start = b"", 0
    while start < len(content):
        length, _, _ = HEAD.unpack_from(content, start + CHECKSUM.size)
        frame = content[start : start + HEADER_BYTES + length]
        kept += b"" if request_id in frame else frame
        start += len(frame)
    return kept


def test_kill_at_each_step_loses_no_row_and_repeats_none(folder: Path, killer: Killer) -> None:
    for kills in count():
        sink = MemorySink(before=killer.call, after=killer.call)
        harness = Harness(folder / str(kills), sink)
        fill(harness.spool_dir)
        was_killed = kill_once([harness], killer, kills)
        check(sink, harness, rows=6)
        assert sorted(sink.files) == ["pod-1-7-00000000", "pod-1-7-00000001"]
        assert list(harness.spool_dir.iterdir()) == []
        if not was_killed:
            break
    assert kills > 20


def test_kill_at_each_step_keeps_the_cursors_of_two_sinks(folder: Path, killer: Killer) -> None:
    for kills in count():
        storage, hub = (MemorySink(before=killer.call, after=killer.call) for _ in range(2))
        first = Harness(folder / str(kills), storage)
        second = Harness(folder / str(kills), hub, name="eventHub", limits=BatchLimits(0, 1, 1))
        fill(first.spool_dir)
        was_killed = kill_once([first, second], killer, kills)
        check(storage, first, rows=6)
        check(hub, second, rows=6)
        assert len(hub.files) == 3
        assert list(first.spool_dir.iterdir()) == []
        if not was_killed:
            break
    assert kills > 40
