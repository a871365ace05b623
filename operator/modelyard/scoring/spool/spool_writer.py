"""A bounded queue of records, and the thread that writes them to the spool."""

import logging
import threading
from collections import Counter, deque
from collections.abc import Callable
from typing import Final, Generic, TypeVar

from modelyard.scoring.spool.counts import BUFFER_FULL, ENCODE_FAILED, Counts
from modelyard.scoring.spool.segment_writer import SegmentWriter

log = logging.getLogger(__name__)

FLUSH_SECONDS: Final = 0.05
"""How long a record waits for others. A killed process loses the records of this time at most."""

MAX_BUFFER_BYTES: Final = 4 * 1024 * 1024
"""Memory of records that wait for the thread. One record more may wait, of any size."""

EAGER_BYTES: Final = 1024 * 1024
"""As many waiting bytes are written without a wait for more."""

ITEM_BYTES: Final = 1024
"""The memory of a record beside its bodies."""

_Item = TypeVar("_Item")


class SpoolWriter(Generic[_Item]):
    """Writes what put() gets. No method for the producer waits or fails; each record is counted once.

    One thread calls put() and skip(), or the callers hold a lock.
    """

    def __init__(self, segments: SegmentWriter, encode: Callable[[_Item], bytes]) -> None:
        """`encode` returns the bytes of the record for an item, in the writer's thread."""
        self._segments = segments
        self._encode = encode
        self._pending: deque[tuple[_Item, int]] = deque()
        self._put_bytes = 0
        """Bytes that put() has queued since the start; only the producer writes it."""
        self._done_bytes = 0
        """Bytes that are written or dropped since the start; only the thread writes it."""
        self._collected = 0
        self._skipped = 0
        self._refused = 0
        self._dropped: Counter[str] = Counter()
        """Records that the thread has dropped, by reason."""
        self._awake = threading.Event()
        self._hurry = threading.Event()
        self._closing = False
        self._thread = threading.Thread(target=self._run, name="collection", daemon=True)
        self._thread.start()

    def put(self, item: _Item, size: int) -> None:
        """Queue an item whose bodies have this many bytes, or drop it if the queue is full."""
        waiting = self._put_bytes - self._done_bytes
        if waiting >= MAX_BUFFER_BYTES:
            self._refused += 1
        else:
            size += ITEM_BYTES
            self._put_bytes += size
            self._pending.append((item, size))
        if not self._awake.is_set():
            self._awake.set()
        if waiting >= EAGER_BYTES and not self._hurry.is_set():
            self._hurry.set()

    def skip(self) -> None:
        """Count a record that is not among the samples."""
        self._skipped += 1
        if not self._awake.is_set():
            self._awake.set()

    def counts(self) -> Counts:
        """Return the sums of the records whose fate is decided. Any thread may call it."""
        dropped = dict(self._dropped)
        if self._refused:
            dropped[BUFFER_FULL] = self._refused
        collected, skipped = self._collected, self._skipped
        return Counts(collected + skipped + sum(dropped.values()), collected, skipped, dropped)

    def close(self, seconds: float) -> bool:
        """Write what waits, complete the segment and end the thread. Return False after this time."""
        self._closing = True
        self._awake.set()
        self._hurry.set()
        self._thread.join(seconds)
        return not self._thread.is_alive()

    def _run(self) -> None:
        while not self._closing:
            if self._awake.wait(self._segments.seconds_to_seal(self.counts())):
                self._hurry.wait(FLUSH_SECONDS)
            self._awake.clear()
            self._hurry.clear()
            self._write_pending()
        self._write_pending()
        self._segments.close(self.counts())

    def _write_pending(self) -> None:
        """Write what waits, and complete segments."""
        while self._pending:
            self._write_batch()
            self._segments.seal_if_due(self.counts())
        self._segments.seal_if_due(self.counts())

    def _write_batch(self) -> None:
        """Write the oldest records, MAX_BUFFER_BYTES and one record at most."""
        payloads: list[bytes] = []
        size = 0
        while self._pending and size < MAX_BUFFER_BYTES:
            item, item_bytes = self._pending.popleft()
            size += item_bytes
            try:
                payloads.append(self._encode(item))
            except Exception:
                log.exception("a record of data collection cannot be encoded, and is dropped")
                self._dropped[ENCODE_FAILED] += 1
        reason = self._segments.append(payloads)
        if reason is None:
            self._collected += len(payloads)
        else:
            self._dropped[reason] += len(payloads)
        self._done_bytes += size
