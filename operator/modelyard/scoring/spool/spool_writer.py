"""A bounded queue of records, and the thread that writes them to the spool."""

import logging
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from itertools import accumulate
from typing import Any, Final

from modelyard.scoring.spool.counts import BUFFER_FULL, ENCODE_FAILED, Counts
from modelyard.scoring.spool.segment_writer import SegmentWriter

log = logging.getLogger(__name__)

FLUSH_SECONDS: Final = 0.05
"""How long a record waits for others. A killed process loses the records of this time at most."""

MAX_BUFFER_BYTES: Final = 4 * 1024 * 1024
"""Memory of records that wait for the thread. One record more may wait, of any size."""

BATCH_BYTES: Final = 256 * 1024
"""Records of one frame, with ITEM_BYTES for each. As many are written without a wait for more: the event loop
waits for half a millisecond, while the thread encodes them."""

ITEM_BYTES: Final = 1024
"""The memory of a record beside its bodies, at least."""

WARN_SECONDS: Final = 60.0
"""Minimum time between two lines of the log about dropped records."""

Encode = Callable[[Sequence[Sequence[Any]]], bytes]
"""Returns the bytes of a batch from the columns of its fields; called in the writer's thread."""


class SpoolWriter:
    """Writes what put() gets. No method for the producer waits or fails; each record is counted once.

    One thread calls put() and skip(), or the callers hold a lock.
    """

    def __init__(self, segments: SegmentWriter, width: int, encode: Encode) -> None:
        """`width` is the number of fields that put() gets."""
        self._segments = segments
        self._width = width
        self._encode = encode
        self._fields: list[Any] = []
        """The fields of the records that wait, one record after the other: no object for each record."""
        self._put_bytes = 0
        """Bytes that put() has queued since the start; only the producer writes it."""
        self._done_bytes = 0
        """Bytes that are written or dropped since the start; only the thread writes it."""
        self._collected = 0
        self._skipped = 0
        self._refused: Counter[str] = Counter()
        """Records that the producer has dropped, by reason."""
        self._dropped: Counter[str] = Counter()
        """Records that the thread has dropped, by reason."""
        self._is_awake = False
        """The thread has been told that there is work. A look at it is cheaper than one at the event."""
        self._awake = threading.Event()
        self._hurry = threading.Event()
        self._closing = False
        self._warned_at = float("-inf")
        self._warned_drops = 0
        self._thread = threading.Thread(target=self._run, name="collection", daemon=True)
        self._thread.start()

    def put(self, fields: tuple[Any, ...]) -> None:
        """Queue a record, or drop it if the queue is full. Its first field is its size, with ITEM_BYTES."""
        waiting = self._put_bytes - self._done_bytes
        if waiting >= MAX_BUFFER_BYTES:
            self._refused[BUFFER_FULL] += 1
        else:
            self._fields.extend(fields)
            self._put_bytes += fields[0]
        if not self._is_awake:
            self._wake()
        elif waiting >= BATCH_BYTES:
            self._hurry.set()

    def skip(self) -> None:
        """Count a record that is not among the samples."""
        self._skipped += 1
        if not self._is_awake:
            self._wake()

    def drop(self, reason: str) -> None:
        """Count a record that the producer could not make."""
        self._refused[reason] += 1
        if not self._is_awake:
            self._wake()

    def counts(self) -> Counts:
        """Return the sums of the records whose fate is decided. Any thread may call it."""
        dropped = dict(self._dropped + self._refused)
        collected, skipped = self._collected, self._skipped
        return Counts(collected + skipped + sum(dropped.values()), collected, skipped, dropped)

    def close(self, seconds: float) -> bool:
        """Write what waits, complete the segment and end the thread. Return False after this time."""
        self._closing = True
        self._wake()
        self._hurry.set()
        self._thread.join(seconds)
        return not self._thread.is_alive()

    def _wake(self) -> None:
        self._is_awake = True
        self._awake.set()

    def _run(self) -> None:
        while not self._closing:
            self._hurry.wait(FLUSH_SECONDS)
            self._hurry.clear()
            if not self._write_waiting():
                self._wait_for_work()
        self._write_waiting()
        self._segments.close(self.counts())

    def _wait_for_work(self) -> None:
        """Wait for a record, or until a segment is due."""
        self._awake.clear()
        self._is_awake = False  # from now on a producer wakes the thread
        if not self._fields and not self._closing:
            self._awake.wait(self._segments.seconds_to_seal(self.counts()))
        self._is_awake = True

    def _write_waiting(self) -> bool:
        """Write the records that wait, and complete segments. Return True if there was a record."""
        has_work = bool(self._fields)
        while self._fields:
            self._write_batch()
            self._segments.seal_if_due(self.counts())
        self._segments.seal_if_due(self.counts())
        self._warn()
        return has_work

    def _write_batch(self) -> None:
        """Write the oldest records, BATCH_BYTES and one record at most."""
        sizes = self._fields[:: self._width]
        count, size = len(sizes), sum(sizes)
        if size > BATCH_BYTES:
            ends = list(accumulate(sizes))
            count = next(i for i, end in enumerate(ends, 1) if end >= BATCH_BYTES)
            size = ends[count - 1]
        fields = self._fields[: count * self._width]
        del self._fields[: count * self._width]  # the producer only appends
        reason: str | None = ENCODE_FAILED
        try:
            payload = self._encode([fields[i :: self._width] for i in range(1, self._width)])
            reason = self._segments.append(payload, count)
        except Exception:
            log.exception("records of data collection cannot be encoded, and are dropped")
        if reason is None:
            self._collected += count
        else:
            self._dropped[reason] += count
        self._done_bytes += size

    def _warn(self) -> None:
        """Log dropped records, now and then."""
        dropped = self.counts().dropped
        total = sum(dropped.values())
        if total > self._warned_drops and time.monotonic() - self._warned_at >= WARN_SECONDS:
            log.warning("data collection has dropped %d records so far: %s", total, dropped)
            self._warned_at, self._warned_drops = time.monotonic(), total
