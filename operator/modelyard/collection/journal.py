"""The journal of one sink: the batch that is being delivered, the cursors of the writers, the counters.

A file of JSON, replaced as a whole. It is written before and after each delivery:

    begin()         the segments of a batch and its number: a retry has the same rows and the same name
    acknowledge()   cursors behind the batch, and the counters with it, in one step

So each counter survives a kill at any moment, and counts each row once. Only the side-car can write the file.
"""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Final

import orjson

from modelyard.collection.sink import Delivered
from modelyard.collection.tally import NEW_WRITER, Tally, Totals, WriterCursor, WriterKey, writer_of
from modelyard.scoring.spool.counts import Counts
from modelyard.scoring.spool.folder import SEALED, SegmentName, parse_name

log = logging.getLogger(__name__)

_MAX_WRITERS: Final = 1024
"""Workers that restart again and again are a writer each. The oldest ones are forgotten."""


@dataclass(frozen=True)
class BatchEntry:
    """A batch that is being delivered."""

    number: int
    segments: tuple[SegmentName, ...]


@dataclass(frozen=True)
class _Content:
    epoch: int
    """Nanoseconds since the Unix epoch when the journal began: a part of the batches' names."""
    next_number: int = 0
    batch: BatchEntry | None = None
    writers: Mapping[WriterKey, WriterCursor] = field(default_factory=dict)
    totals: Totals = field(default_factory=Totals)


class Journal:
    """Reads and replaces the file. One pump writes it, other threads may read the properties."""

    def __init__(self, path: Path, clock_ns: Callable[[], int] = time.time_ns) -> None:
        """Read the file, or begin a journal. Raises OSError if the file cannot be written."""
        self._path = path
        self._clock_ns = clock_ns
        self._content = self._load()

    @property
    def epoch(self) -> int:
        """Return the time at which the journal began, in nanoseconds since the Unix epoch."""
        return self._content.epoch

    @property
    def batch(self) -> BatchEntry | None:
        """Return the batch that is being delivered, None between two of them."""
        return self._content.batch

    @property
    def writers(self) -> Mapping[WriterKey, WriterCursor]:
        """Return how far the sink is with each writer."""
        return self._content.writers

    @property
    def totals(self) -> Totals:
        """Return the counters."""
        return self._content.totals

    def has(self, name: SegmentName) -> bool:
        """Return True if the sink has the segment."""
        return name.number <= self._content.writers.get(writer_of(name), NEW_WRITER).number

    def begin(self, segments: Sequence[SegmentName]) -> BatchEntry:
        """Write the segments of the next batch. Raises OSError."""
        batch = BatchEntry(self._content.next_number, tuple(segments))
        self._save(replace(self._content, batch=batch, next_number=batch.number + 1))
        return batch

    def acknowledge(self, tally: Tally, delivered: Delivered) -> None:
        """Write that the sink has the batch. Raises OSError."""
        old = self._content
        writers = {key: cursor for key, cursor in old.writers.items() if key not in tally.after} | tally.after
        totals = old.totals.plus(tally, rows=delivered.rows, size=delivered.size, dropped=delivered.dropped)
        kept = dict(list(writers.items())[-_MAX_WRITERS:])  # in the order of their last segment
        self._save(replace(old, batch=None, writers=kept, totals=totals))

    def _load(self) -> _Content:
        try:
            return _decode(orjson.loads(self._path.read_bytes()))
        except FileNotFoundError:
            pass
        except (ValueError, KeyError, TypeError, AttributeError):
            log.exception(
                "%s is no journal; a new one begins, and the rows of one batch may come twice", self._path
            )
        content = _Content(self._clock_ns())
        self._save(content)
        return content

    def _save(self, content: _Content) -> None:
        """Replace the file, then the content in memory: other threads see no state before the disk."""
        temporary = self._path.with_suffix(".new")
        with temporary.open("wb") as file:
            file.write(orjson.dumps(_encode(content)))
            file.flush()
            os.fsync(file.fileno())
        temporary.rename(self._path)
        self._content = content


def _encode(content: _Content) -> dict[str, Any]:
    batch = content.batch
    return {
        "epoch": content.epoch,
        "nextNumber": content.next_number,
        "batch": batch
        and {"number": batch.number, "segments": [name.file(SEALED) for name in batch.segments]},
        "writers": [
            [writer, str(started), cursor.number, cursor.sequence, list(cursor.counts)]
            for (writer, started), cursor in content.writers.items()
        ],
        "totals": asdict(content.totals),
    }


def _decode(values: Any) -> _Content:
    batch = values["batch"]
    return _Content(
        epoch=int(values["epoch"]),
        next_number=int(values["nextNumber"]),
        batch=batch and BatchEntry(int(batch["number"]), tuple(map(_name, batch["segments"]))),
        writers={
            (writer, int(started)): WriterCursor(number, sequence, Counts(*counts))
            for writer, started, number, sequence, counts in values["writers"]
        },
        totals=Totals(**values["totals"]),
    )


def _name(file: str) -> SegmentName:
    name = parse_name(file)
    if name is None:
        raise ValueError(f"{file} is no name of a segment")
    return name
