"""One sink: the next batch, its delivery, the acknowledgement. Each step may be the last one before a kill.

    1. the batch of the journal, or a new one: its segments are written to the journal first
    2. delivery
    3. acknowledgement in the journal, with the counters
    4. deletion of the segments that all sinks have

A kill before 3 repeats the batch: the same rows under the same name. A kill after 3 leaves segments, which
the next step 4 deletes.
"""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from modelyard.backoff import Backoff
from modelyard.collection.batch import SegmentBatch
from modelyard.collection.journal import BatchEntry, Journal
from modelyard.collection.pace import Pace
from modelyard.collection.segments import Cursors, Spool
from modelyard.collection.sink import BatchLimits, Delivered, Sink, SinkError
from modelyard.collection.status import COLLECTOR_FAILED, SinkStatus
from modelyard.collection.transformation import Transformation
from modelyard.object_stores.connection import is_panic

log = logging.getLogger(__name__)

INVALID: Final = "invalid"
"""Reason: a row of the batch makes the side-car fail, each time."""

_POLL_SECONDS: Final = 0.5
_MAX_WAIT_SECONDS: Final = 5.0
"""The Secret is read again after this time, also between two attempts."""
_FLUSH_WAIT_SECONDS: Final = 1.0
_MAX_CRASHES: Final = 3
_BACKOFF: Final = Backoff(first_seconds=1.0, most_seconds=60.0, jitter=0.5)

Secret = Mapping[str, str]


@dataclass(frozen=True)
class Delivery:
    """How one sink gets its batches."""

    name: str
    """`storage` or `eventHub`, of counters."""
    title: str
    """`Storage` or `EventHub`, the beginning of its reasons."""
    limits: BatchLimits
    open: Callable[[Secret], Sink]
    """Return a sink for the keys of the Secret. Raises SinkError."""
    pod: str


class Pump:
    """Takes batches of one sink to it. One thread calls it."""

    def __init__(
        self,
        delivery: Delivery,
        journal: Journal,
        spool: Spool,
        others: Sequence[Cursors],
        read_secret: Callable[[], Secret],
        transformation: Callable[[Secret], Transformation],
        pace: Pace,
        *,
        backoff: Backoff = _BACKOFF,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`others` are the journals of the other sinks. `read_secret` may raise OSError."""
        self._delivery = delivery
        self._journal = journal
        self._spool = spool
        self._others = others
        self._read_secret = read_secret
        self._transformation = transformation
        self._pace = pace
        self._backoff = backoff
        self._clock = clock
        self._secret: Secret | None = None
        self._sink: Sink | None = None
        self._failures = 0
        self._crashes = 0
        self._failed_at = 0.0
        self._wait_seconds = 0.0
        """From the last failure to the next attempt."""
        self.status = SinkStatus(journal.totals)
        self.idle = False
        """True if the last step found no segment to deliver."""

    def step(self, *, flush: bool = False) -> float:
        """Deliver a batch if one is due. Return the seconds to the next step.

        `flush` delivers what there is, and shortens waits: the pod is about to end.
        """
        try:
            return self._step(flush)
        except SinkError as error:
            reason = f"{self._delivery.title}{error.trouble}"
            return self._failed(reason, error.message)
        except OSError as error:
            return self._failed(
                COLLECTOR_FAILED, f"the side-car cannot use its disk: {error.strerror or error}"
            )
        except BaseException as error:
            if not isinstance(error, Exception) and not is_panic(error):
                raise
            log.exception("a batch for %s has failed", self._delivery.name)
            self._crashes += 1
            return self._failed(COLLECTOR_FAILED, f"the side-car fails at a batch: {type(error).__name__}")

    @property
    def secret(self) -> Secret:
        """Return the keys of the Secret, as the last step has read them."""
        return self._secret or {}

    def close(self) -> None:
        """Close the sink."""
        if self._sink is not None:
            self._sink.close()
            self._sink = None

    def _step(self, flush: bool) -> float:
        self._refresh_sink()
        segments = self._spool.waiting(self._journal)
        oldest = self._spool.oldest(segments)
        backlog = sum(segment.size for segment in segments)
        self.status.waiting(backlog_bytes=backlog, oldest_seconds=oldest)
        entry = self._journal.batch
        if entry is None:
            due = self._spool.due(segments, self._delivery.limits, flush=flush)
            entry = self._journal.begin([segment.name for segment in due]) if due else None
        self.idle = entry is None
        if entry is not None:
            longest = _FLUSH_WAIT_SECONDS if flush else self._wait_seconds
            wait = self._failed_at + min(self._wait_seconds, longest) - self._clock()
            if wait > 0:
                return min(wait, _MAX_WAIT_SECONDS)
            self._pace.begin(math.inf if flush else oldest - self._delivery.limits.seconds, backlog)
            self._deliver(entry)
        self._spool.delete([self._journal, *self._others])
        return _POLL_SECONDS if entry is None else 0.0

    def _deliver(self, entry: BatchEntry) -> None:
        journal, transformation = self._journal, self._transformation(self.secret)
        batch = SegmentBatch(
            f"{self._delivery.pod}-{journal.epoch}-{entry.number:08}",
            self._spool.folder,
            entry.segments,
            journal.writers,
            lambda pieces, declared: self._pace.spread(transformation.rows(pieces, declared)),
        )
        if self._crashes >= _MAX_CRASHES:
            delivered = Delivered(0, 0, {INVALID: batch.tally().records})
        else:
            delivered = self._open().deliver(batch)
        journal.acknowledge(batch.tally(), delivered)
        self._failures = self._crashes = 0
        self._wait_seconds = 0.0
        self.status.succeeded(journal.totals)

    def _refresh_sink(self) -> None:
        """Read the Secret. Another content makes another sink, and the next attempt at once."""
        try:
            secret = dict(self._read_secret())
        except OSError:
            return  # it is being replaced
        if secret == self._secret:
            return
        self.close()
        self._secret = secret
        self._failures = 0
        self._wait_seconds = 0.0
        self._open()
        self.status.configured()

    def _open(self) -> Sink:
        if self._sink is None:
            self._sink = self._delivery.open(self.secret)
        return self._sink

    def _failed(self, reason: str, message: str) -> float:
        self._failures += 1
        self._failed_at = self._clock()
        self._wait_seconds = self._backoff.seconds(self._failures)
        if self._failures == 1 or self.status.state.reason != reason:
            log.warning("%s: %s", reason, message)
        self.status.failed(reason, message)
        self.idle = False
        return min(self._wait_seconds, _MAX_WAIT_SECONDS)
