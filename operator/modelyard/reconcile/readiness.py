"""Readiness gate: an object is not Ready before its dependents follow its newest version.

GitOps tools wait until every object of a change is Ready. Without the gate they would find all objects Ready
right after a change. The Model has its new version, and the Service still reports success for the old one.
"""

from __future__ import annotations

import dataclasses
from typing import Final

from modelyard.api.status import State
from modelyard.reconcile.cache import Cache
from modelyard.reconcile.outcome import Outcome

_RECHECK_SECONDS: Final = 1.0


def gate_readiness(cache: Cache, outcome: Outcome) -> Outcome:
    """Return the outcome, not ready while a ready dependent still names an older version in its status."""
    if outcome.revision is None or outcome.state is not State.SUCCEEDED:
        return outcome
    lagging = cache.objects.lagging_dependents(outcome.revision)
    if not lagging:
        return outcome
    message = f"{outcome.message}; {lagging[0].kind} {lagging[0].name} has yet to follow"
    return dataclasses.replace(outcome, message=message, ready=False, requeue_after=_RECHECK_SECONDS)
