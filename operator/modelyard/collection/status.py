"""The state of a sink for metrics, the operator and people; written by its pump, read by the HTTP server."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from modelyard.collection.tally import Totals

COLLECTOR_FAILED = "CollectorFailed"
"""Reason: the side-car itself fails: its disk, for example."""


@dataclass(frozen=True)
class SinkState:
    """The state of one sink."""

    reason: str = ""
    """CamelCase; empty if the last delivery succeeded."""
    message: str = ""
    totals: Totals = field(default_factory=Totals)
    backlog_bytes: int = 0
    """Size of the segments that the sink does not have."""
    oldest_seconds: float = 0.0
    """Age of the oldest of them."""
    failures: Mapping[str, int] = field(default_factory=dict)
    """Failed attempts since the start of the process, by reason."""


class SinkStatus:
    """The state of one sink, for several threads."""

    def __init__(self, totals: Totals) -> None:
        """`totals` are the counters of the journal."""
        self._lock = threading.Lock()
        self._state = SinkState(totals=totals)

    @property
    def state(self) -> SinkState:
        """Return the present state."""
        with self._lock:
            return self._state

    def waiting(self, *, backlog_bytes: int, oldest_seconds: float) -> None:
        """Note the segments that wait."""
        with self._lock:
            self._state = replace(self._state, backlog_bytes=backlog_bytes, oldest_seconds=oldest_seconds)

    def succeeded(self, totals: Totals) -> None:
        """Note that a batch was delivered."""
        with self._lock:
            self._state = replace(self._state, reason="", message="", totals=totals)

    def configured(self) -> None:
        """Note that the destination is usable: a failure of an older destination has ended."""
        with self._lock:
            self._state = replace(self._state, reason="", message="")

    def failed(self, reason: str, message: str) -> None:
        """Note a failed attempt."""
        with self._lock:
            failures = dict(Counter(self._state.failures) + Counter([reason]))
            self._state = replace(self._state, reason=reason, message=message, failures=failures)
