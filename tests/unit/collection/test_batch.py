"""Batches whose frames have several records, some of them made up by a driver."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.support.spool import encode_records
from tests.unit.collection.spool_files import ids

from modelyard.collection.batch import SegmentBatch
from modelyard.collection.fields import ProtectedFields
from modelyard.collection.transformation import Transformation
from modelyard.scoring.spool.folder import SEALED, SegmentName
from modelyard.scoring.spool.frame import RECORDS, pack_frame

NAME = SegmentName("front", 5, 0)


def frame(sequence: int, count: int) -> bytes:
    return pack_frame(sequence, RECORDS, encode_records(ids(count, start=sequence)))


@pytest.mark.parametrize(
    ("frames", "rows", "dropped", "next_sequence"),
    [
        ([(0, 3), (3, 2)], ["r0", "r1", "r2", "r3", "r4"], {}, 5),
        ([(0, 2), (5, 2)], ["r0", "r1", "r5", "r6"], {"missing": 3}, 7),
        ([(0, 2), (0, 2), (2, 1)], ["r0", "r1", "r0", "r1", "r2"], {"malformed": 2}, 3),
        ([(2**40, 2), (0, 1)], [f"r{2**40}", f"r{2**40 + 1}", "r0"], {"malformed": 2}, 1),
    ],
    ids=["in order", "gap", "falls", "jumps"],
)
def test_numbers_of_frames_are_counted(
    tmp_path: Path,
    frames: list[tuple[int, int]],
    rows: list[str],
    dropped: dict[str, int],
    next_sequence: int,
) -> None:
    (tmp_path / NAME.file(SEALED)).write_bytes(b"".join(frame(*one) for one in frames))
    batch = SegmentBatch("b", tmp_path, [NAME], {}, Transformation(ProtectedFields((), (), "")).rows)
    assert [row.request_id for row in batch.rows()] == rows
    tally = batch.tally()
    assert (tally.records, tally.dropped) == (len(rows), dropped)
    assert tally.cursor(("front", 5)).sequence == next_sequence
