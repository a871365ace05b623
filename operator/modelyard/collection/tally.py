"""The frames of a batch, counted."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from modelyard.scoring.spool.counts import Counts
from modelyard.scoring.spool.folder import SegmentName

TORN: Final = "torn"
"""Reason: the last frame of a writer that was killed is incomplete, or a frame has changed on the disk."""
MISSING: Final = "missing"
"""Reason: the numbers of a writer's frames have a gap, since somebody deleted a segment, for example."""
MALFORMED: Final = "malformed"
"""Reason: the frame is whole, but its bytes are no record: a driver wrote it."""

_MAX_GAP: Final = 2**32
_MAX_REASONS: Final = 64
_MAX_TOTAL: Final = 2**53
"""The largest whole number of each JSON reader: a driver can write any sums."""

_NO_COUNTS: Final = Counts(0, 0, 0, {})


class WriterCursor(NamedTuple):
    """How far a sink is with one writer."""

    number: int
    """The last segment that the sink has; -1 for none."""
    sequence: int
    """Number of the next frame."""
    counts: Counts
    """The last sums of the writer."""


NEW_WRITER: Final = WriterCursor(-1, 0, _NO_COUNTS)

WriterKey = tuple[str, int]
"""Name and start of a writer."""


def writer_of(name: SegmentName) -> WriterKey:
    """Return the writer of a segment."""
    return name.writer, name.started_ns


@dataclass
class Tally:
    """Counts of one reading of a batch, from the first frame to the last."""

    before: Mapping[WriterKey, WriterCursor]
    """The cursors of the sink before the batch."""
    after: dict[WriterKey, WriterCursor] = field(default_factory=dict)
    """The cursors of the batch's writers after the batch."""
    records: int = 0
    """Records that a sink gets as rows."""
    answered: int = 0
    """Requests that the writers have answered, added since the batch before."""
    sampled_out: int = 0
    dropped: Counter[str] = field(default_factory=Counter)
    """Records that no sink will have, by reason: those of the writers, and unreadable ones."""

    def cursor(self, writer: WriterKey) -> WriterCursor:
        """Return how far the reading is with a writer."""
        return self.after.get(writer) or self.before.get(writer) or NEW_WRITER

    def gap(self, expected: int, found: int, count: int) -> int:
        """Count the numbers before those of a frame, `count` from `found` on. Return the next number.

        Only a driver writes numbers that fall, or that jump by billions.
        """
        if expected < found < expected + _MAX_GAP:
            self.dropped[MISSING] += found - expected
            return found + count
        self.dropped[MALFORMED] += count
        return expected

    def counts(self, writer: WriterKey, counts: Counts) -> None:
        """Add the growth of a writer's sums. A sum that falls was written by a driver, and counts as 0."""
        before = self.cursor(writer)
        self.answered += max(0, counts.answered - before.counts.answered)
        self.sampled_out += max(0, counts.sampled_out - before.counts.sampled_out)
        for reason, count in counts.dropped.items():
            growth = count - before.counts.dropped.get(reason, 0)
            if growth > 0:
                self.dropped[reason] += growth
        self.after[writer] = before._replace(counts=counts)

    def end(self, name: SegmentName, sequence: int, *, records: int, torn: int, malformed: int) -> None:
        """Count the end of a segment. A torn frame has used a number, so that it is not missing, too."""
        writer = writer_of(name)
        self.after[writer] = self.cursor(writer)._replace(number=name.number, sequence=sequence + torn)
        self.records += records
        if torn:
            self.dropped[TORN] += torn
        if malformed:
            self.dropped[MALFORMED] += malformed


@dataclass(frozen=True)
class Totals:
    """Counters of a sink since the start of the pod."""

    rows: int = 0
    size: int = 0
    """Bytes that were sent."""
    answered: int = 0
    sampled_out: int = 0
    dropped: Mapping[str, int] = field(default_factory=dict)

    def plus(self, tally: Tally, *, rows: int, size: int, dropped: Mapping[str, int]) -> Totals:
        """Return the counters after a batch. `dropped` are the rows that the sink will never accept."""
        return Totals(
            rows=_sum(self.rows, rows),
            size=_sum(self.size, size),
            answered=_sum(self.answered, tally.answered),
            sampled_out=_sum(self.sampled_out, tally.sampled_out),
            dropped={
                reason: _sum(self.dropped.get(reason, 0), tally.dropped[reason], dropped.get(reason, 0))
                for reason in sorted({*self.dropped, *tally.dropped, *dropped})[:_MAX_REASONS]
            },
        )


def _sum(*counts: int) -> int:
    return min(sum(counts), _MAX_TOTAL)
