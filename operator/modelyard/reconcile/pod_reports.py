"""State of the reports about pods of Services whose change no Deployment shows."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass, field
from typing import Final

from modelyard.kube.types import Key

_PAUSE: Final = dt.timedelta(minutes=1)


@dataclass
class PodReports:
    """Services whose pods the next reconcile reads, and the times of their last reports."""

    unread: set[Key] = field(default_factory=set)
    _times: dict[Key, dt.datetime] = field(default_factory=dict)

    def begin(self, key: Key, now: dt.datetime) -> bool:
        """Return whether another report of a Service may replace the last one, once in a minute.

        Replicas that run out of memory again and again would otherwise change the status each time.
        """
        last = self._times.get(key)
        if last is not None and now - last < _PAUSE:
            return False
        self._times[key] = now
        return True

    def forget(self, key: Key) -> None:
        """Remove a Service that was deleted."""
        self.unread.discard(key)
        self._times.pop(key, None)
