"""A bounded queue of pieces (see batch), and the thread that writes them to the spool."""

import logging
import threading
import time
from collections import Counter
from collections.abc import Callable
from typing import Final, NamedTuple

from modelyard.scoring.spool.batch import MAX_RECORDS
from modelyard.scoring.spool.counts import BUFFER_FULL, ENCODE_FAILED, Counts
from modelyard.scoring.spool.segment_writer import SegmentWriter

log = logging.getLogger(__name__)

FLUSH_SECONDS: Final = 0.025
"""How long a piece waits for others. A killed process loses the pieces of this time at most."""

MAX_BUFFER_BYTES: Final = 4 * 1024 * 1024
"""Memory of pieces that wait for the thread. One piece more may wait, of any size."""

BATCH_BYTES: Final = 256 * 1024
"""Pieces of one frame. As many are written without a wait for more."""

PIECE_BYTES: Final = 1024
"""The memory of a piece beside its bytes, at least."""

WARN_SECONDS: Final = 60.0
"""Minimum time between two lines of the log about dropped records."""

Content = bytes | Callable[[], bytes]
"""The bytes of a piece, or a function that returns them, for the writer's thread to call."""


class _Piece(NamedTuple):
    content: Content
    records: int
    """Number of records."""
    size: int


class SpoolWriter:
    """Writes what put() gets. No method for the producer waits or fails; each record is counted once.

    One thread calls put(), skip() and drop(), or the callers hold a lock.
    """

    def __init__(self, segments: SegmentWriter) -> None:
        self._segments = segments
        self._pieces: list[_Piece] = []
        """The pieces that wait."""
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

    def put(self, content: Content, count: int, size: int) -> None:
        """Queue a piece of `count` records, or drop it if the queue is full. `size` is its memory in bytes.

        The memory of a function is that of the bodies that it holds.
        """
        waiting = self._put_bytes - self._done_bytes
        if waiting >= MAX_BUFFER_BYTES:
            self._refused[BUFFER_FULL] += count
        else:
            self._pieces.append(_Piece(content, count, size + PIECE_BYTES))
            self._put_bytes += size + PIECE_BYTES
        if not self._is_awake:
            self._wake()
        elif waiting >= BATCH_BYTES:
            self._hurry.set()

    def skip(self) -> None:
        """Count a record that is not among the samples."""
        self._skipped += 1
        if not self._is_awake:
            self._wake()

    def drop(self, reason: str, count: int = 1) -> None:
        """Count records that the producer could not make."""
        self._refused[reason] += count
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
        if not self._pieces and not self._closing:
            self._awake.wait(self._segments.seconds_to_seal(self.counts()))
        self._is_awake = True

    def _write_waiting(self) -> bool:
        """Write the pieces that wait, and complete segments. Return True if there was one."""
        has_work = bool(self._pieces)
        while self._pieces:
            self._write_batch()
            self._segments.seal_if_due(self.counts())
        self._segments.seal_if_due(self.counts())
        self._warn()
        return has_work

    def _write_batch(self) -> None:
        """Write the oldest pieces in one frame, of BATCH_BYTES and one piece at most, and of MAX_RECORDS."""
        contents: list[bytes] = []
        size = records = taken = 0
        for piece in self._pieces.copy():
            if taken and (size >= BATCH_BYTES or records + piece.records > MAX_RECORDS):
                break
            taken += 1
            size += piece.size
            if content := self._content(piece):
                contents.append(content)
                records += piece.records
        del self._pieces[:taken]  # the producer only appends
        if contents:
            reason = self._segments.append(b"".join(contents), records)
            if reason is None:
                self._collected += records
            else:
                self._dropped[reason] += records
        self._done_bytes += size

    def _content(self, piece: _Piece) -> bytes:
        """Return the bytes of a piece, none if its function fails: its records are counted as dropped."""
        if isinstance(piece.content, bytes):
            return piece.content
        try:
            return piece.content()
        except Exception:
            log.exception("records of data collection cannot be encoded, and are dropped")
            self._dropped[ENCODE_FAILED] += piece.records
            return b""

    def _warn(self) -> None:
        """Log dropped records, now and then."""
        dropped = self.counts().dropped
        total = sum(dropped.values())
        if total > self._warned_drops and time.monotonic() - self._warned_at >= WARN_SECONDS:
            log.warning("data collection has dropped %d records so far: %s", total, dropped)
            self._warned_at, self._warned_drops = time.monotonic(), total
