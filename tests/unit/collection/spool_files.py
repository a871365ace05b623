"""A spool with records, and a sink in memory."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from tests.support.spool import encode_records

from modelyard.collection.fields import ProtectedFields
from modelyard.collection.journal import Journal
from modelyard.collection.pace import Pace
from modelyard.collection.pump import Delivery, Pump
from modelyard.collection.row import Origin, Row
from modelyard.collection.segments import Spool
from modelyard.collection.sink import Batch, BatchLimits, Delivered, Sink
from modelyard.collection.transformation import Transformation
from modelyard.scoring.spool.batch_reader import decode_batch
from modelyard.scoring.spool.counts import Counts
from modelyard.scoring.spool.record import Record
from modelyard.scoring.spool.segment_writer import SegmentWriter

ORIGIN: Final = Origin("team-a", "diabetes", "3", "sha256:ab", ("diabetes:1",), "pod-1")
LIMITS: Final = BatchLimits(seconds=0, size=10**9, segments=2)
HURRY_BYTES: Final = 100_000
TIME_NS: Final = 1_796_000_000_000_000_000
"""2026-11-30, 00:53:20 UTC."""


def record(request_id: str, **fields: object) -> Record:
    """Return a record with a JSON body."""
    values: dict[str, object] = {
        "time_ns": TIME_NS,
        "name": "scoring",
        "request_id": request_id,
        "correlation_id": request_id,
        "trace_id": "",
        "method": "POST",
        "kind": "score",
        "status": 200,
        "duration_us": 2500,
        "request_type": "application/json",
        "response_type": "application/json",
        "request": b'{"data":[1]}',
        "response": b"[2]",
        "request_sha256": b"",
        "response_sha256": b"",
    }
    values |= fields
    sizes = {f"{body}_bytes": len(values[body]) for body in ("request", "response")}  # type: ignore[arg-type]
    return Record(**sizes | values)  # type: ignore[arg-type]


def row_of(transformation: Transformation, one: Record, declared: bytes = b"") -> Row:
    """Return the row of a record, by way of its bytes."""
    (row,) = transformation.rows(decode_batch(encode_records([one])), declared)
    return row


def write_segments(
    folder: Path, segments: Sequence[Sequence[Record]], dropped: Mapping[str, int] | None = None
) -> None:
    """Write a segment for each list of records, as one writer that then ends."""
    writer = SegmentWriter(folder, "front", max_bytes=10**9)
    collected, lost = 0, dropped or {}
    for records in segments:
        for one in records:  # a frame each
            assert writer.append(encode_records([one]), 1) is None
        collected += len(records)
        writer.seal(Counts(collected + sum(lost.values()), collected, 0, lost))


def ids(count: int, start: int = 0) -> list[Record]:
    """Return records with different request ids."""
    return [record(f"r{number}") for number in range(start, start + count)]


@dataclass
class MemorySink:
    """Keeps rows by the name of their batch, as a store keeps files."""

    files: dict[str, list[Row]] = field(default_factory=dict)
    before: Callable[[], None] = lambda: None
    """Called before a batch is kept."""
    after: Callable[[], None] = lambda: None
    closed: int = 0

    def deliver(self, batch: Batch) -> Delivered:
        rows = list(batch.rows())
        self.before()
        self.files[batch.name] = rows
        self.after()
        return Delivered(len(rows), 100 * len(rows))

    def close(self) -> None:
        self.closed += 1

    def rows(self) -> Iterator[Row]:
        for rows in self.files.values():
            yield from rows


@dataclass
class Clock:
    """Seconds that pass when a test says so."""

    now: float = 1000.0

    def __call__(self) -> float:
        return self.now


@dataclass
class Harness:
    """A pump on folders of a test. Each call of start() is a new process."""

    folder: Path
    sink: Sink
    name: str = "storage"
    limits: BatchLimits = LIMITS
    secret: dict[str, str] = field(default_factory=dict)
    clock: Clock = field(default_factory=Clock)
    others: Sequence[Journal] = ()
    open: Callable[[Mapping[str, str]], Sink] | None = None
    pace_clock: Callable[[], float] = time.monotonic
    rests: list[float] = field(default_factory=list)
    """Seconds of each rest."""

    def __post_init__(self) -> None:
        self.spool_dir.mkdir(parents=True, exist_ok=True)

    @property
    def spool_dir(self) -> Path:
        return self.folder / "spool"

    def journal(self) -> Journal:
        return Journal(self.folder / f"{self.name}.json", lambda: 7)

    def start(self, journal: Journal | None = None) -> Pump:
        opened = self.open or (lambda _: self.sink)
        return Pump(
            Delivery(self.name, self.name.capitalize(), self.limits, opened, "pod-1"),
            journal or self.journal(),
            Spool(self.spool_dir),
            self.others,
            lambda: self.secret,
            lambda _: Transformation(ProtectedFields((), (), "")),
            Pace(HURRY_BYTES, self.rests.append, self.pace_clock),
            clock=self.clock,
        )

    def drain(self, pump: Pump | None = None) -> Pump:
        """Step until nothing is left: twice idle, since a segment counts from its second listing."""
        pump = pump or self.start()
        idle = 0
        for _ in range(1000):
            pump.step()
            idle = idle + 1 if pump.idle else 0
            if idle == 2:
                return pump
        raise AssertionError(f"the pump never ends: {pump.status.state}")
