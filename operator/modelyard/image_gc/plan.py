"""What is needed, what is not, and what goes: pure."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass

from modelyard.image_gc.cluster_usage import Marks
from modelyard.image_gc.repository import Stored
from modelyard.image_gc.usage import Uses


@dataclass(frozen=True)
class Plan:
    """Everything that is in the registry, once."""

    kept: tuple[tuple[Stored, str], ...]  # and why
    waiting: tuple[tuple[Stored, dt.datetime], ...]  # unused since, not for long enough
    due: tuple[tuple[Stored, dt.datetime], ...]

    @property
    def marks(self) -> Marks:
        """To remember until next time."""
        return {stored.name: since for stored, since in (*self.waiting, *self.due)}


def reason(stored: Stored, uses: Uses) -> str:
    """Why an image is kept; empty when nothing speaks for it."""
    if users := uses.of(stored.repository, stored.digest, stored.tags):
        return ", ".join(users)
    if not stored.is_ours:
        return f"tagged {', '.join(stored.tags)}"
    if stored.repository in uses.building:
        return "a version of this Image is being built"
    return ""


def plan(
    found: Iterable[Stored],
    why: Callable[[Stored], str],
    marks: Marks,
    now: dt.datetime,
    older_than: dt.timedelta,
) -> Plan:
    """Sort what was found; `why` gives the reason to keep one, or nothing."""
    kept = []
    waiting = []
    due = []
    for stored in found:
        since = marks.get(stored.name, now)
        if because := why(stored):
            kept.append((stored, because))
        elif now - since >= older_than:
            due.append((stored, since))
        else:
            waiting.append((stored, since))
    return Plan(tuple(kept), tuple(waiting), tuple(due))


def hidden(marks: Marks, found: Collection[Stored]) -> list[Stored]:
    """What was marked and has no tag any more: a removal was interrupted."""
    seen = {stored.name for stored in found}
    split = (name.partition("@") for name in marks if name not in seen)
    return [Stored(repository, digest) for repository, _, digest in split]
