"""Segments: their completion, limits, locks, and the end of their writer at any point."""

from __future__ import annotations

import contextlib
import errno
import itertools
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.support.spool import encode_records, records_of
from tests.unit.scoring.spool.spool_samples import frames, last_counts, record, request_ids

from modelyard.scoring.spool import folder as spool_folder
from modelyard.scoring.spool import segment_writer
from modelyard.scoring.spool.counts import SPOOL_FULL, WRITE_FAILED, Counts
from modelyard.scoring.spool.declared import MAX_BYTES
from modelyard.scoring.spool.folder import seal_abandoned, sealed, usage
from modelyard.scoring.spool.reader import SegmentReader
from modelyard.scoring.spool.segment_writer import MAX_SHORT_SEGMENTS, SEGMENT_BYTES, SegmentWriter

NONE = Counts(0, 0, 0, {})


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def append(writer: SegmentWriter, *request_ids: str, size: int = 3) -> str | None:
    """Write a record of each request id at once; `size` is that of its request's body."""
    payload = encode_records([record(one, b"x" * size) for one in request_ids])
    return writer.append(payload, len(request_ids))


def collected(count: int) -> Counts:
    return Counts(count, count, 0, {})


def test_segment_is_complete_after_a_second(tmp_path: Path) -> None:
    clock = Clock()
    writer = SegmentWriter(tmp_path, "front", 10**9, clock)
    append(writer, "a")
    writer.seal_if_due(collected(1))
    assert len(sealed(tmp_path)) == 1  # the first one after a quiet time at once
    append(writer, "b")
    writer.seal_if_due(collected(2))
    assert len(sealed(tmp_path)) == 1
    assert writer.seconds_to_seal(collected(2)) == pytest.approx(1.0)
    clock.now += 1.0
    writer.seal_if_due(collected(2))
    assert len(sealed(tmp_path)) == 2
    assert writer.seconds_to_seal(collected(2)) is None
    assert request_ids(tmp_path) == ["a", "b"]
    assert [frame.sequence for frame in frames(tmp_path)] == [0, 1, 2, 3]
    assert last_counts(tmp_path) == collected(2)


def test_segment_is_complete_at_its_size(tmp_path: Path) -> None:
    writer = SegmentWriter(tmp_path, "front", 10**9, Clock())
    append(writer, "a", size=10)
    writer.seal_if_due(collected(1))
    append(writer, "b", "c", size=SEGMENT_BYTES // 2)
    writer.seal_if_due(collected(3))
    assert len(sealed(tmp_path)) == 2


def test_sums_without_a_record_have_a_segment(tmp_path: Path) -> None:
    clock = Clock()
    writer = SegmentWriter(tmp_path, "front", 10**9, clock)
    writer.seal_if_due(NONE)
    assert not sealed(tmp_path)
    writer.seal_if_due(Counts(5, 0, 5, {}))
    assert last_counts(tmp_path) == Counts(5, 0, 5, {})


def test_number_of_short_segments_is_bounded(tmp_path: Path) -> None:
    clock = Clock()
    writer = SegmentWriter(tmp_path, "front", 10**9, clock)
    for number in range(MAX_SHORT_SEGMENTS + 50):
        append(writer, str(number))
        writer.seal_if_due(collected(number + 1))
        clock.now += 1.0
    assert len(sealed(tmp_path)) == MAX_SHORT_SEGMENTS
    append(writer, "more")
    writer.seal_if_due(collected(1000))
    assert writer.seconds_to_seal(collected(1000)) == pytest.approx(1.0)  # no thread turns in circles
    writer.close(collected(1000))
    assert len(request_ids(tmp_path)) == MAX_SHORT_SEGMENTS + 51


def test_full_spool_takes_no_record_until_the_collector_deletes_one(tmp_path: Path) -> None:
    writer = SegmentWriter(tmp_path, "front", 10_000, Clock())
    assert append(writer, "a", size=9000) is None
    assert append(writer, "b", size=9000) == SPOOL_FULL
    assert append(writer, "c", size=10) is None
    writer.seal(Counts(3, 2, 0, {SPOOL_FULL: 1}))
    (name,) = sealed(tmp_path)
    assert request_ids(tmp_path) == ["a", "c"]
    (tmp_path / name.file("segment")).unlink()
    assert append(writer, "d", size=9000) is None
    assert [frame.sequence for frame in frames(tmp_path)] == []  # the writer has the lock
    writer.close(Counts(4, 3, 0, {SPOOL_FULL: 1}))
    assert request_ids(tmp_path) == ["d"]
    assert frames(tmp_path)[0].sequence == 3  # the dropped record has no number


def test_files_of_other_writers_count(tmp_path: Path) -> None:
    other = SegmentWriter(tmp_path, "w7", 10_000, Clock())
    append(other, "a", size=9000)
    writer = SegmentWriter(tmp_path, "front", 10_000, Clock())
    assert append(writer, "b", size=9000) == SPOOL_FULL


def test_full_spool_takes_the_last_sums(tmp_path: Path) -> None:
    writer = SegmentWriter(tmp_path, "front", 10, Clock())
    assert append(writer, "a") == SPOOL_FULL
    writer.close(Counts(1, 0, 0, {SPOOL_FULL: 1}))
    assert last_counts(tmp_path) == Counts(1, 0, 0, {SPOOL_FULL: 1})


def test_full_disk_drops_the_batch_and_the_file_stays_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    writer = SegmentWriter(tmp_path, "front", 10**9, Clock())
    append(writer, "a")
    write, room = os.pwrite, [50]

    def limited(descriptor: int, data: Any, offset: int) -> int:
        if not room[0]:
            raise OSError(errno.ENOSPC, "No space left on device")
        count = write(descriptor, data[: room[0]], offset)
        room[0] -= count
        return count

    with monkeypatch.context() as patch:
        patch.setattr(os, "pwrite", limited)
        assert append(writer, "b", "c") == WRITE_FAILED
    assert append(writer, "d") is None
    writer.close(Counts(4, 2, 0, {WRITE_FAILED: 2}))
    assert request_ids(tmp_path) == ["a", "d"]
    assert [frame.sequence for frame in frames(tmp_path)] == [0, 1, 2]


def test_missing_folder_drops_records_and_raises_nothing(tmp_path: Path) -> None:
    writer = SegmentWriter(tmp_path / "missing", "front", 10**9, Clock())
    assert append(writer, "a") == WRITE_FAILED
    counts = Counts(1, 0, 0, {WRITE_FAILED: 1})
    writer.seal_if_due(counts)
    writer.close(counts)


def test_open_file_of_a_live_writer_is_not_taken(tmp_path: Path) -> None:
    writer = SegmentWriter(tmp_path, "front", 10**9, Clock())
    append(writer, "a")
    assert seal_abandoned(tmp_path) == 0
    assert not sealed(tmp_path)
    writer.close(collected(1))
    assert request_ids(tmp_path) == ["a"]


def test_writer_and_reader_that_meet_at_a_new_file_lose_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A reader may see the file before the writer has locked it."""
    lock, taken = spool_folder.fcntl.flock, []

    def slow_lock(file: Any, operation: int) -> None:
        if not taken:
            taken.append(True)
            seal_abandoned(tmp_path)
        lock(file, operation)

    monkeypatch.setattr(spool_folder.fcntl, "flock", slow_lock)
    writer = SegmentWriter(tmp_path, "front", 10**9, Clock())
    assert append(writer, "a") is None
    writer.close(collected(1))
    assert taken
    assert request_ids(tmp_path) == ["a"]
    assert usage(tmp_path).segments == len(list(tmp_path.iterdir())) == 1


def test_reader_that_holds_the_lock_of_a_new_file_loses_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    create, held = os.open, []

    def create_and_lock(path: Any, flags: int, mode: int = 0o777) -> int:
        descriptor = create(path, flags, mode)
        if not held:
            held.append(create(path, os.O_RDONLY))
            spool_folder.fcntl.flock(held[0], spool_folder.fcntl.LOCK_EX)
        return descriptor

    with monkeypatch.context() as patch:
        patch.setattr(os, "open", create_and_lock)
        writer = SegmentWriter(tmp_path, "front", 10**9, Clock())
        assert append(writer, "a") is None
    writer.close(collected(1))
    os.close(held[0])
    assert request_ids(tmp_path) == ["a"]
    assert len(list(tmp_path.iterdir())) == 1


class Killed(BaseException):
    """Stands in for SIGKILL: no handler of the writer catches it."""


CALLS = [
    (os, "open"),
    (spool_folder.fcntl, "flock"),
    (os, "fstat"),
    (os, "pwrite"),
    (Path, "rename"),
    (os, "close"),
]


@pytest.mark.parametrize("after", [False, True], ids=["before the call", "after the call"])
def test_writer_killed_at_any_system_call_keeps_each_written_batch(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, after: bool
) -> None:
    """The kill comes before or after call 0, 1, 2 … until the writer reaches its end."""
    for call in range(1000):
        folder = tmp_path / str(call)
        folder.mkdir()
        written, began, killed = _run_and_kill(folder, monkeypatch, call, after=after)
        found = request_ids(folder)
        assert found[: len(written)] == written
        assert set(found) <= set(began)
        assert len(found) == len(set(found))
        assert {path.suffix for path in folder.iterdir()} <= {".segment"}
        if not killed:
            break
    assert call > 15


def _run_and_kill(
    folder: Path, monkeypatch: pytest.MonkeyPatch, call: int, *, after: bool
) -> tuple[list[str], list[str], bool]:
    """Return the request ids of the written batches, those of the begun ones, and True after a kill."""
    written: list[str] = []
    began: list[str] = []
    opened: list[int] = []
    killed = True
    with monkeypatch.context() as patch:
        _kill_at(patch, call, opened, after=after)
        with contextlib.suppress(Killed):
            _write_three_segments(folder, written, began)
            killed = False
    for descriptor in opened:  # the kernel closes those of a process
        with contextlib.suppress(OSError):
            os.close(descriptor)
    return written, began, killed


def _kill_at(patch: pytest.MonkeyPatch, call: int, opened: list[int], *, after: bool) -> None:
    """Let the system call of this number raise Killed. The list gets the descriptors of opened files."""
    calls = itertools.count()
    pwrite, os_open = os.pwrite, os.open

    def killing(function: Callable[..., Any]) -> Callable[..., Any]:
        def wrapped(*arguments: Any, **options: Any) -> Any:
            is_last = next(calls) == call
            if is_last and not after:
                raise Killed
            if is_last and function is pwrite:
                function(arguments[0], arguments[1][:30], arguments[2])
                raise Killed
            result = function(*arguments, **options)
            if function is os_open:
                opened.append(result)
            if is_last:
                raise Killed
            return result

        return wrapped

    for owner, name in CALLS:
        patch.setattr(owner, name, killing(getattr(owner, name)))


def _write_three_segments(folder: Path, written: list[str], began: list[str]) -> None:
    clock = Clock()
    writer = SegmentWriter(folder, "front", 10**9, clock)
    for number in range(3):
        ids = [f"{number}-0", f"{number}-1"]
        began += ids
        assert append(writer, *ids) is None
        written += ids
        clock.now += 1.0
        writer.seal_if_due(collected(len(written)))
    writer.close(collected(len(written)))


def test_bounds_are_those_of_the_documentation() -> None:
    assert (SEGMENT_BYTES, segment_writer.SEGMENT_SECONDS) == (4 * 2**20, 1.0)


def declared_of(folder: Path) -> list[tuple[str, bytes]]:
    """Return the request id of each record with its declared columns."""
    seal_abandoned(folder)
    found = []
    for name in sealed(folder):
        with spool_folder.open_regular(folder / name.file("segment")) as file:
            reader = SegmentReader(file)
            for frame in reader:
                found += [(one.request_id, reader.declared) for one in records_of(frame)]
    return found


def test_each_segment_has_its_declared_columns_once(tmp_path: Path) -> None:
    writer = SegmentWriter(tmp_path, "front", 10**9, Clock())
    append(writer, "before")
    writer.declared = b"first"
    append(writer, "a")
    append(writer, "b")
    writer.seal(collected(3))
    append(writer, "c")
    writer.declared = b"second"
    append(writer, "d")
    writer.close(collected(5))
    assert declared_of(tmp_path) == [
        ("before", b""),
        ("a", b"first"),
        ("b", b"first"),
        ("c", b"first"),
        ("d", b"second"),
    ]
    contents = [path.read_bytes() for path in sorted(tmp_path.iterdir())]
    assert [(content.count(b"first"), content.count(b"second")) for content in contents] == [(1, 0), (1, 1)]
    assert [frame.sequence for frame in frames(tmp_path)] == list(range(7))  # they take no number


def test_refused_batch_writes_its_columns_with_the_next_one(tmp_path: Path) -> None:
    writer = SegmentWriter(tmp_path, "front", 1000, Clock())
    writer.declared = b"columns"
    assert append(writer, "a", size=2000) == SPOOL_FULL
    assert append(writer, "b") is None
    writer.close(Counts(2, 1, 0, {SPOOL_FULL: 1}))
    assert declared_of(tmp_path) == [("b", b"columns")]


def test_columns_beyond_their_limit_are_none(tmp_path: Path) -> None:
    writer = SegmentWriter(tmp_path, "front", 10**9, Clock())
    writer.declared = b"x" * (MAX_BYTES + 1)
    append(writer, "a")
    writer.close(collected(1))
    assert declared_of(tmp_path) == [("a", b"")]
