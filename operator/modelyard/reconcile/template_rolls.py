"""Rolls of the present pod template to Services whose version did not change: a few at once, in order.

A new release or a changed value of `scoring` may concern every Service. So a limited number of Services roll
at the same time, and the next one begins when a roll is complete. A failed roll stops further ones.
"""

from __future__ import annotations

from modelyard.kube.types import Key
from modelyard.metrics import TEMPLATE_ROLLS


class TemplateRolls:
    """Services that roll the present template, that failed to, and that wait for their turn."""

    def __init__(self) -> None:
        self.recovered = False  # rolls that an earlier process began are part of the state
        self._begun = 0
        self._active: set[Key] = set()
        self._failed: dict[Key, str] = {}  # reason of the failure
        self._waiting: dict[Key, None] = {}  # in order

    def begin(self, key: Key, limit: int) -> bool:
        """Begin the roll of a Service, or let it wait; return whether it begins or has begun.

        `limit` is the maximum number of Services that roll at the same time.
        """
        if key in self._active or key in self._failed:
            return True
        begins = not self._failed and len(self._active) < limit
        if begins:
            self._waiting.pop(key, None)
            self._active.add(key)
            self._begun += 1
        else:
            self._waiting[key] = None
        self._count()
        return begins

    def recover(self, key: Key, failure: str | None) -> None:
        """Add a roll that an earlier process began; `failure` is the reason if it has failed."""
        if failure is None:
            self._active.add(key)
        else:
            self._failed[key] = failure
        self._count()

    def turn(self, key: Key, limit: int) -> int | None:
        """Return a number if a Service that waits may try to begin now, else None.

        Of Services that try at the same time, some must wait again. Their next turn has another number.
        """
        may_begin = key in self._waiting and not self._failed and len(self._active) < limit
        return self._begun if may_begin else None

    def fail(self, key: Key, reason: str) -> list[Key]:
        """Record the failure of a roll; return the Services that wait, whose status has to say so."""
        if self._failed.get(key) == reason or not self.is_rolling(key):
            return []
        self._active.discard(key)
        self._failed[key] = reason
        self._count()
        return list(self._waiting)

    def end(self, key: Key, limit: int) -> list[Key]:
        """End the roll or the wait of a Service; return the waiting Services that may have their turn now."""
        self._waiting.pop(key, None)
        if not self.is_rolling(key):
            return []
        had_failed = self._failed.pop(key, None) is not None
        self._active.discard(key)
        self._count()
        free = max(limit - len(self._active), 0)
        return list(self._waiting)[: None if had_failed else free]

    def is_rolling(self, key: Key) -> bool:
        """Return whether the roll of a Service has begun and is not complete; it may have failed."""
        return key in self._active or key in self._failed

    def is_waiting(self, key: Key) -> bool:
        """Return whether a Service waits for its turn."""
        return key in self._waiting

    @property
    def failure(self) -> tuple[Key, str] | None:
        """The first Service whose roll failed, with the reason; None if no roll has failed."""
        return next(iter(self._failed.items()), None)

    def _count(self) -> None:
        for state, keys in (("active", self._active), ("failed", self._failed), ("waiting", self._waiting)):
            TEMPLATE_ROLLS.labels(state=state).set(len(keys))
