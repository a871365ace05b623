"""The queue and the thread: each record is collected, sampled out or dropped, and counted once."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from pathlib import Path

import pytest
from tests.unit.scoring.spool.spool_samples import last_counts, record, request_ids

from modelyard.scoring.spool.counts import BUFFER_FULL, ENCODE_FAILED, SPOOL_FULL, Counts
from modelyard.scoring.spool.record import Record, encode_record
from modelyard.scoring.spool.segment_writer import SegmentWriter
from modelyard.scoring.spool.spool_writer import ITEM_BYTES, MAX_BUFFER_BYTES, SpoolWriter


class HeldSegments(SegmentWriter):
    """Writes once the test lets it, like a slow disk."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder, "front", 10**9)
        self.go = threading.Event()
        self.began = threading.Event()

    def append(self, payloads: Sequence[bytes]) -> str | None:
        self.began.set()
        assert self.go.wait(60)
        return super().append(payloads)


def test_close_writes_all_records_and_their_sums(tmp_path: Path) -> None:
    writer = SpoolWriter(SegmentWriter(tmp_path, "front", 10**9), encode_record)
    for number in range(2000):
        writer.put(record(str(number)), 10)
    writer.skip()
    assert writer.close(60)
    assert request_ids(tmp_path) == [str(number) for number in range(2000)]
    assert last_counts(tmp_path) == writer.counts() == Counts(2001, 2000, 1, {})


def test_sums_alone_are_written_at_the_end(tmp_path: Path) -> None:
    writer = SpoolWriter(SegmentWriter(tmp_path, "front", 10**9), encode_record)
    for _ in range(3):
        writer.skip()
    assert writer.close(60)
    assert last_counts(tmp_path) == Counts(3, 0, 3, {})


def test_writer_without_a_record_makes_no_file(tmp_path: Path) -> None:
    assert SpoolWriter(SegmentWriter(tmp_path, "front", 10**9), encode_record).close(60)
    assert not list(tmp_path.iterdir())


def test_full_queue_drops_the_newest_and_counts_them(tmp_path: Path) -> None:
    segments = HeldSegments(tmp_path)
    writer = SpoolWriter(segments, encode_record)
    writer.put(record("first"), 2 * MAX_BUFFER_BYTES)  # one record of any size
    assert segments.began.wait(60)
    for number in range(10):
        writer.put(record(str(number)), 10)
    assert writer.counts().dropped == {BUFFER_FULL: 10}
    segments.go.set()
    assert writer.close(60)
    assert request_ids(tmp_path) == ["first"]
    assert last_counts(tmp_path) == Counts(11, 1, 0, {BUFFER_FULL: 10})


def test_queue_is_bounded_for_records_without_bodies(tmp_path: Path) -> None:
    segments = HeldSegments(tmp_path)
    writer = SpoolWriter(segments, encode_record)
    for _ in range(MAX_BUFFER_BYTES // ITEM_BYTES + 5):
        writer.put(record(), 0)
    assert writer.counts().dropped == {BUFFER_FULL: 5}
    segments.go.set()
    assert writer.close(60)


def test_full_spool_is_counted(tmp_path: Path) -> None:
    writer = SpoolWriter(SegmentWriter(tmp_path, "front", 10), encode_record)
    writer.put(record(), 10)
    assert writer.close(60)
    assert last_counts(tmp_path) == Counts(1, 0, 0, {SPOOL_FULL: 1})


def test_record_that_cannot_be_encoded_is_counted_and_the_others_written(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    def encode(item: Record) -> bytes:
        if item.request_id == "bad":
            raise RuntimeError("no encoding")
        return encode_record(item)

    writer = SpoolWriter(SegmentWriter(tmp_path, "front", 10**9), encode)
    for name in ("a", "bad", "b"):
        writer.put(record(name), 10)
    assert writer.close(60)
    assert request_ids(tmp_path) == ["a", "b"]
    assert last_counts(tmp_path) == Counts(3, 2, 0, {ENCODE_FAILED: 1})
    assert "cannot be encoded" in caplog.text


def test_close_ends_in_time_on_a_disk_that_hangs(tmp_path: Path) -> None:
    segments = HeldSegments(tmp_path)
    writer = SpoolWriter(segments, encode_record)
    writer.put(record(), 10)
    assert segments.began.wait(60)
    assert not writer.close(0.01)
    segments.go.set()
    assert writer.close(60)
