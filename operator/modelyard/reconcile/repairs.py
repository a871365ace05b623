"""Pacing of repairs: a child that another client changes again and again is repaired ever less often.

Two controllers that disagree about a field would otherwise change it in turn without a pause. Each change of
a pod template would start new pods.
"""

from __future__ import annotations

import datetime as dt
from typing import Final, NamedTuple

from modelyard.backoff import Backoff
from modelyard.kube.types import ApiResource

_IMMEDIATE: Final = 3  # repairs without a wait: people undo and redo an edit now and then
_WAITS: Final = Backoff(first_seconds=2.0, most_seconds=300.0)
_FORGOTTEN_AFTER: Final = dt.timedelta(minutes=30)  # without a repair; well above the longest wait
CONTESTED: Final = 5
"""Repairs of one child, each within 30 minutes of the one before, after which an event reports them."""

_Child = tuple[str, str, str]  # plural of the resource, namespace, name


class _Repairs(NamedTuple):
    number: int
    last: dt.datetime


class RepairPacing:
    """The latest repairs of each child. A restart of the operator forgets them."""

    def __init__(self) -> None:
        self._repairs: dict[_Child, _Repairs] = {}  # the child repaired longest ago is the first

    def seconds_left(self, resource: ApiResource, namespace: str, name: str, now: dt.datetime) -> float:
        """Return the seconds until a child may be repaired, 0 if that is now."""
        repairs = self._repairs.get((resource.plural, namespace, name))
        if repairs is None or repairs.number < _IMMEDIATE:
            return 0.0
        wait = _WAITS.seconds(repairs.number - _IMMEDIATE + 1)
        return max(0.0, wait - (now - repairs.last).total_seconds())

    def record(self, resource: ApiResource, namespace: str, name: str, now: dt.datetime) -> int:
        """Record a repair; return the number of repairs of this child so far."""
        self._drop_before(now - _FORGOTTEN_AFTER)
        child = resource.plural, namespace, name
        before = self._repairs.pop(child, None)
        count = before.number + 1 if before else 1
        self._repairs[child] = _Repairs(count, now)
        return count

    def _drop_before(self, time: dt.datetime) -> None:
        while self._repairs:
            child, repairs = next(iter(self._repairs.items()))
            if repairs.last >= time:
                return
            del self._repairs[child]
