"""The queue and the thread: each record is collected, sampled out or dropped, and counted once."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest
from tests.support.spool import encode_records
from tests.unit.scoring.spool.spool_samples import last_counts, record, request_ids

from modelyard.scoring.spool.batch import MAX_RECORDS
from modelyard.scoring.spool.counts import BUFFER_FULL, ENCODE_FAILED, SPOOL_FULL, Counts
from modelyard.scoring.spool.record import Record
from modelyard.scoring.spool.segment_writer import SegmentWriter
from modelyard.scoring.spool.spool_writer import BATCH_BYTES, MAX_BUFFER_BYTES, PIECE_BYTES, SpoolWriter


def put(writer: SpoolWriter, one: Record, size: int = 10) -> None:
    writer.put(encode_records([one]), 1, size)


class HeldSegments(SegmentWriter):
    """Writes once the test lets it, like a slow disk."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder, "front", 10**9)
        self.go = threading.Event()
        self.began = threading.Event()
        self.counts: list[int] = []

    def append(self, payload: bytes, count: int) -> str | None:
        self.began.set()
        self.counts.append(count)
        assert self.go.wait(60)
        return super().append(payload, count)


def test_close_writes_all_records_and_their_sums(tmp_path: Path) -> None:
    writer = SpoolWriter(SegmentWriter(tmp_path, "front", 10**9))
    for number in range(2000):
        put(writer, record(str(number)), 10)
    writer.skip()
    assert writer.close(60)
    assert request_ids(tmp_path) == [str(number) for number in range(2000)]
    assert last_counts(tmp_path) == writer.counts() == Counts(2001, 2000, 1, {})


def test_sums_alone_are_written_at_the_end(tmp_path: Path) -> None:
    writer = SpoolWriter(SegmentWriter(tmp_path, "front", 10**9))
    for _ in range(3):
        writer.skip()
    assert writer.close(60)
    assert last_counts(tmp_path) == Counts(3, 0, 3, {})


def test_writer_without_a_record_makes_no_file(tmp_path: Path) -> None:
    assert SpoolWriter(SegmentWriter(tmp_path, "front", 10**9)).close(60)
    assert not list(tmp_path.iterdir())


def test_full_queue_drops_the_newest_and_counts_them(tmp_path: Path) -> None:
    segments = HeldSegments(tmp_path)
    writer = SpoolWriter(segments)
    put(writer, record("first"), 2 * MAX_BUFFER_BYTES)  # one record of any size
    assert segments.began.wait(60)
    for number in range(10):
        put(writer, record(str(number)), 10)
    assert writer.counts().dropped == {BUFFER_FULL: 10}
    segments.go.set()
    assert writer.close(60)
    assert request_ids(tmp_path) == ["first"]
    assert last_counts(tmp_path) == Counts(11, 1, 0, {BUFFER_FULL: 10})


def test_queue_is_bounded_for_records_without_bodies(tmp_path: Path) -> None:
    segments = HeldSegments(tmp_path)
    writer = SpoolWriter(segments)
    for _ in range(MAX_BUFFER_BYTES // PIECE_BYTES + 5):
        put(writer, record(), 0)
    assert writer.counts().dropped == {BUFFER_FULL: 5}
    segments.go.set()
    assert writer.close(60)


def test_full_spool_is_counted(tmp_path: Path) -> None:
    writer = SpoolWriter(SegmentWriter(tmp_path, "front", 10))
    put(writer, record(), 10)
    assert writer.close(60)
    assert last_counts(tmp_path) == Counts(1, 0, 0, {SPOOL_FULL: 1})


def test_piece_that_cannot_be_encoded_is_counted_and_the_next_one_written(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    def failing() -> bytes:
        raise RuntimeError("no encoding")

    writer = SpoolWriter(SegmentWriter(tmp_path, "front", 10**9))
    writer.put(failing, 3, 10)
    put(writer, record("a"))
    assert writer.close(60)
    assert request_ids(tmp_path) == ["a"]
    assert last_counts(tmp_path) == Counts(4, 1, 0, {ENCODE_FAILED: 3})
    assert "cannot be encoded" in caplog.text


def test_piece_is_made_by_the_thread(tmp_path: Path) -> None:
    threads = []

    def made() -> bytes:
        threads.append(threading.current_thread().name)
        return encode_records([record("a"), record("b")])

    writer = SpoolWriter(SegmentWriter(tmp_path, "front", 10**9))
    writer.put(made, 2, 10)
    assert writer.close(60)
    assert (threads, request_ids(tmp_path)) == (["collection"], ["a", "b"])


def test_frame_has_no_more_records_than_a_reader_takes(tmp_path: Path) -> None:
    segments = HeldSegments(tmp_path)
    writer = SpoolWriter(segments)
    for _ in range(5):
        writer.put(encode_records([record()] * (MAX_RECORDS - 1)), MAX_RECORDS - 1, 1)
    segments.go.set()
    assert writer.close(60)
    assert segments.counts == [MAX_RECORDS - 1] * 5
    assert len(request_ids(tmp_path)) == 5 * (MAX_RECORDS - 1)


def test_dropped_records_are_in_the_log(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    writer = SpoolWriter(SegmentWriter(tmp_path, "front", 10))
    put(writer, record())
    assert writer.close(60)
    assert "dropped 1 records so far: {'spool_full': 1}" in caplog.text


def test_frame_of_many_records_is_bounded(tmp_path: Path) -> None:
    segments = HeldSegments(tmp_path)
    writer = SpoolWriter(segments)
    for number in range(40):
        put(writer, record(str(number)), MAX_BUFFER_BYTES // 50)
    segments.go.set()
    assert writer.close(60)
    assert request_ids(tmp_path) == [str(number) for number in range(40)]
    assert max(segments.counts) <= BATCH_BYTES // (MAX_BUFFER_BYTES // 50) + 1


def test_close_ends_in_time_on_a_disk_that_hangs(tmp_path: Path) -> None:
    segments = HeldSegments(tmp_path)
    writer = SpoolWriter(segments)
    put(writer, record(), 10)
    assert segments.began.wait(60)
    assert not writer.close(0.01)
    segments.go.set()
    assert writer.close(60)
