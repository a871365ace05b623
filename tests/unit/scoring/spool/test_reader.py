"""The reader of segments, with files that are cut, changed or made up."""

from __future__ import annotations

import io
import os
import random
from pathlib import Path

import pytest
from tests.support.spool import encode_records, records_of
from tests.unit.scoring.spool.spool_samples import record

from modelyard.scoring.spool.folder import open_regular, parse_name, seal_abandoned, sealed
from modelyard.scoring.spool.frame import COUNTS, HEAD, MAX_PAYLOAD_BYTES, RECORDS, pack_frame
from modelyard.scoring.spool.reader import SegmentReader

PACKED = [pack_frame(i, RECORDS, encode_records([record(f"id-{i}")])) for i in range(4)]
SEGMENT = b"".join(PACKED)
ENDS = [sum(map(len, PACKED[: i + 1])) for i in range(len(PACKED))]


def sequences(reader: SegmentReader) -> list[int]:
    return [frame.sequence for frame in reader]


@pytest.mark.parametrize("offset", [0, *ENDS])
def test_reader_goes_on_at_the_end_of_a_frame(offset: int) -> None:
    reader = SegmentReader(io.BytesIO(SEGMENT), offset)
    found = list(reader)
    assert [frame.end for frame in found] == [end for end in ENDS if end > offset]
    assert [records_of(frame) for frame in found] == [[record(f"id-{frame.sequence}")] for frame in found]
    assert (reader.torn, reader.malformed) == (0, 0)


def test_file_cut_at_any_byte_has_the_whole_frames_before_and_one_torn() -> None:
    for size in range(len(SEGMENT) + 1):
        reader = SegmentReader(io.BytesIO(SEGMENT[:size]))
        whole = [i for i, end in enumerate(ENDS) if end <= size]
        assert sequences(reader) == whole
        assert reader.torn == (size not in (0, *ENDS))


def test_file_with_any_changed_byte_has_the_whole_frames_before_and_one_torn() -> None:
    for position in range(len(SEGMENT)):
        changed = bytearray(SEGMENT)
        changed[position] ^= 1 << (position % 8)
        reader = SegmentReader(io.BytesIO(changed))
        assert sequences(reader) == [i for i, end in enumerate(ENDS) if end <= position]
        assert reader.torn == 1


def test_frame_has_a_number_for_each_record() -> None:
    content = pack_frame(7, RECORDS, encode_records([record("a"), record("b")]))
    (frame,) = SegmentReader(io.BytesIO(content))
    assert (frame.sequence, frame.numbers, frame.end) == (7, 2, len(content))
    assert records_of(frame) == [record("a"), record("b")]


def test_random_bytes_are_torn_or_empty() -> None:
    random.seed(3)
    for size in range(200):
        reader = SegmentReader(io.BytesIO(random.randbytes(size)))
        assert not list(reader)
        assert reader.torn == (size > 0)


def test_length_beyond_the_limit_is_torn_and_takes_no_memory() -> None:
    class OneRead(io.BytesIO):
        def read(self, size: int | None = -1) -> bytes:
            assert size is not None
            assert size <= 64
            return super().read(size)

    reader = SegmentReader(OneRead(b"\0\0\0\0" + HEAD.pack(MAX_PAYLOAD_BYTES + 1, 0, RECORDS) + b"x" * 100))
    assert not list(reader)
    assert reader.torn == 1


def test_frame_without_a_record_is_counted_and_the_next_one_read() -> None:
    content = pack_frame(0, RECORDS, b"?") + pack_frame(1, COUNTS, b"?") + pack_frame(2, 99, b"") + PACKED[3]
    reader = SegmentReader(io.BytesIO(content))
    first, second, third, last = reader
    assert [(frame.numbers, frame.content) for frame in (first, second, third)] == [(1, None)] * 3
    assert records_of(last) == [record("id-3")]
    assert (reader.torn, reader.malformed) == (0, 2)


@pytest.mark.parametrize(
    "name",
    [
        "front-1-00000000.open",
        "front-1-0.segment",
        "Front-1-00000000.segment",
        "../front-1-00000000.segment",
        "front-1-00000000.segment\n",
        "front-٣-00000000.segment",
        "front-123456789012345678901-00000000.segment",
        ".segment",
    ],
)
def test_other_names_are_no_segments(name: str) -> None:
    assert parse_name(name) is None


def test_segments_of_a_writer_are_in_order_and_their_number_bounded(tmp_path: Path) -> None:
    for number in (10, 2, 1):
        (tmp_path / f"front-5-{number:08}.segment").touch()
    (tmp_path / "front-40-00000000.segment").touch()
    (tmp_path / "notes.txt").touch()
    assert [(name.started_ns, name.number) for name in sealed(tmp_path)] == [(5, 1), (5, 2), (5, 10), (40, 0)]
    assert [name.number for name in sealed(tmp_path, most=2)] == [1, 2]


def test_links_pipes_and_folders_of_a_driver_are_not_opened(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("x")
    (tmp_path / "front-1-00000000.open").symlink_to(secret)
    os.mkfifo(tmp_path / "front-1-00000001.open")
    (tmp_path / "front-1-00000002.open").mkdir()
    assert seal_abandoned(tmp_path) == 0
    assert not sealed(tmp_path)
    for number in range(3):
        with pytest.raises(OSError):
            open_regular(tmp_path / f"front-1-{number:08}.open")
