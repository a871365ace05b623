"""Appends batches of frames to the segments of one writer."""

import contextlib
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

from modelyard.scoring.spool.counts import SPOOL_FULL, WRITE_FAILED, Counts, encode_counts
from modelyard.scoring.spool.folder import OPEN, SegmentName, Usage, create_open, seal, usage
from modelyard.scoring.spool.frame import COUNTS, DECLARED, RECORDS, pack_frame

SEGMENT_BYTES: Final = 4 * 1024 * 1024
"""A segment is complete once it is larger: the collector reads it at once, and deletes it as a whole."""

SEGMENT_SECONDS: Final = 1.0
"""A segment with a frame is complete after this time, so that the collector soon has the records."""

MAX_SHORT_SEGMENTS: Final = 100
"""If as many segments wait for the collector, segments are complete by size only: it bounds the files."""

SCAN_SECONDS: Final = 1.0
"""How long the size of all files counts before it is read again: other writers append, too."""


class SegmentWriter:
    """The segments of one writer, from the first batch to close(). One thread uses it.

    A batch is written whole or not at all, unless the process is killed in the middle.
    """

    def __init__(
        self,
        folder: Path,
        writer: str,
        max_bytes: int,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`max_bytes` is the limit of all files of the folder. Other writers count SCAN_SECONDS late."""
        self.declared = b""
        """The declared columns of the records from now on, see `declared`; another thread may set it."""
        self._written_declared = b""
        """The declared columns in the open file."""
        self._folder = folder
        self._max_bytes = max_bytes
        self._clock = clock
        self._next_name = SegmentName(writer, time.time_ns(), 0)
        self._path = folder
        """The open file."""
        self._descriptor: int | None = None
        self._size = 0
        """Bytes of the open file."""
        self._sequence = 0
        self._usage = Usage(0, 0)
        self._scanned_at = float("-inf")
        self._due_at = float("-inf")
        """When a small segment is complete: a record after a quiet time waits for no other one."""
        self._sealed_counts = Counts(0, 0, 0, {})

    def append(self, payload: bytes, count: int) -> str | None:
        """Write records, see `batch`. Return None, or the reason for which none of them is written."""
        try:
            declared = self.declared
            frame = pack_frame(self._sequence, RECORDS, payload)
            if declared != self._written_declared:
                frame = pack_frame(self._sequence, DECLARED, declared) + frame
            if self._is_full(len(frame)):
                return SPOOL_FULL
            self._write(frame)
        except OSError:
            return WRITE_FAILED
        self._written_declared = declared
        self._sequence += count
        return None

    def seconds_to_seal(self, counts: Counts) -> float | None:
        """Return the time until seal_if_due() has work, in seconds; None if the segments have all sums."""
        return None if counts == self._sealed_counts else max(0.0, self._due_at - self._clock())

    def seal_if_due(self, counts: Counts) -> None:
        """Complete the segment if it is large or old enough, also for sums that no segment has yet."""
        if self._size < SEGMENT_BYTES:
            if self.seconds_to_seal(counts) != 0:
                return
            with contextlib.suppress(OSError):
                self._scan_if_due()
            if self._usage.segments >= MAX_SHORT_SEGMENTS:
                self._due_at = self._clock() + SEGMENT_SECONDS
                return
        self.seal(counts)

    def seal(self, counts: Counts) -> None:
        """Complete the segment with the sums of the writer, beyond the limit of the spool if need be."""
        self._due_at = self._clock() + SEGMENT_SECONDS
        try:
            self._write(pack_frame(self._sequence, COUNTS, encode_counts(counts)))
            self._sequence += 1
            self._sealed_counts = counts
        except OSError:
            pass  # the next segment has the sums
        if self._descriptor is None:
            return
        with contextlib.suppress(OSError):  # a reader takes the file as that of a writer that has ended
            seal(self._path)
        os.close(self._descriptor)
        self._descriptor, self._size, self._written_declared = None, 0, b""

    def close(self, counts: Counts) -> None:
        """Complete the last segment, if there is a frame or a new sum."""
        if self._descriptor is not None or counts != self._sealed_counts:
            self.seal(counts)

    def _is_full(self, more: int) -> bool:
        """Return True if the spool has no room. Raises OSError if its folder cannot be read."""
        self._scan_if_due()
        if self._usage.size + more > self._max_bytes:
            self._scan()
        return self._usage.size + more > self._max_bytes

    def _scan_if_due(self) -> None:
        if self._clock() - self._scanned_at >= SCAN_SECONDS:
            self._scan()

    def _scan(self) -> None:
        self._usage, self._scanned_at = usage(self._folder), self._clock()

    def _write(self, data: bytes) -> None:
        """Append all the bytes, or none of them. Raises OSError if the file system refuses them."""
        descriptor = self._open() if self._descriptor is None else self._descriptor
        view, written = memoryview(data), 0
        try:
            while written < len(data):
                written += os.pwrite(descriptor, view[written:], self._size + written)
        except OSError:
            os.ftruncate(descriptor, self._size)
            raise
        self._size += len(data)
        self._usage = Usage(self._usage.size + len(data), self._usage.segments)

    def _open(self) -> int:
        """Open the next segment. Return its descriptor. Raises OSError if no file can be created."""
        while self._descriptor is None:
            name = self._next_name
            self._next_name = name._replace(number=name.number + 1)
            self._path = self._folder / name.file(OPEN)
            self._descriptor = create_open(self._path)
        return self._descriptor
