"""The segments of the spool: which of them are next for a sink, and which all sinks have."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable, Iterable
from itertools import groupby, takewhile
from pathlib import Path
from typing import NamedTuple, Protocol

from modelyard.collection.sink import BatchLimits
from modelyard.scoring.spool.folder import SEALED, SegmentName, seal_abandoned, sealed


class Segment(NamedTuple):
    """A complete file of the spool."""

    name: SegmentName
    size: int
    """Bytes."""
    written: float
    """Time of the last write, in seconds since the epoch."""

    @property
    def file(self) -> str:
        """Return the name of the file."""
        return self.name.file(SEALED)


class Cursors(Protocol):
    """The segments of a sink."""

    def has(self, name: SegmentName) -> bool:
        """Return True if the sink has the segment, or will never need it."""


class Spool:
    """The complete files of the spool. Each pump has a Spool of its own."""

    def __init__(self, folder: Path, clock: Callable[[], float] = time.time) -> None:
        """`clock` returns seconds since the epoch."""
        self.folder = folder
        self._clock = clock
        self._previous: set[SegmentName] = set()

    def waiting(self, cursors: Cursors) -> list[Segment]:
        """Return the segments that a sink does not have, each writer's in order.

        A listing may miss a file that is renamed at this moment, and have the next one of the writer. So a
        segment counts from the second listing on, and no later one of the writer before it. Raises OSError if
        the folder cannot be read.
        """
        seal_abandoned(self.folder)
        names = [name for name in sealed(self.folder) if not cursors.has(name)]
        known, self._previous = self._previous, set(names)
        segments: list[Segment] = []
        for _, of_writer in groupby(names, key=lambda name: name[:2]):
            for name in takewhile(known.__contains__, of_writer):
                with contextlib.suppress(FileNotFoundError):
                    status = os.lstat(self.folder / name.file(SEALED))
                    segments.append(Segment(name, status.st_size, status.st_mtime))
        return segments

    def due(self, segments: list[Segment], limits: BatchLimits, *, flush: bool) -> list[Segment]:
        """Return the segments of the next batch, none if no limit is reached. `flush` needs no limit."""
        batch: list[Segment] = []
        size = 0
        for segment in segments:
            if batch and (size + segment.size > limits.size or len(batch) == limits.segments):
                return batch
            batch.append(segment)
            size += segment.size
        complete = size >= limits.size or len(batch) == limits.segments
        return batch if flush or complete or self.oldest(segments) >= limits.seconds else []

    def oldest(self, segments: list[Segment]) -> float:
        """Return the seconds since the oldest segment was written. A time in the future counts as endless."""
        if not segments:
            return 0.0
        age = self._clock() - min(segment.written for segment in segments)
        return age if age >= 0 else float("inf")

    def delete(self, delivered: Iterable[Cursors]) -> None:
        """Delete the segments that all sinks have. Raises OSError if the folder cannot be read."""
        sinks = list(delivered)
        for name in sealed(self.folder):
            if all(cursors.has(name) for cursors in sinks):
                with contextlib.suppress(OSError):  # a driver can make a folder of this name
                    (self.folder / name.file(SEALED)).unlink()
