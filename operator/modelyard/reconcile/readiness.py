"""A version is not ready before what follows it has noticed.

Whoever waits until a whole chain is ready, as GitOps tools do, would otherwise find it so in the moment
after a change: the Model is recorded already, and its Service still says that all is well.
"""

from __future__ import annotations

import dataclasses
from typing import Final

from modelyard.api.status import State
from modelyard.reconcile.cache import Cache
from modelyard.reconcile.outcome import Outcome

_LOOK_AGAIN: Final = 1.0  # seconds


def gate_readiness(cache: Cache, outcome: Outcome) -> Outcome:
    """The outcome, not ready yet while something that is ready still speaks of an older version."""
    if outcome.record is None or outcome.state is not State.SUCCEEDED:
        return outcome
    behind = cache.objects.lagging_dependents(outcome.record)
    if not behind:
        return outcome
    message = f"{outcome.message}; {behind[0].kind} {behind[0].name} has yet to follow"
    return dataclasses.replace(outcome, message=message, ready=False, requeue_after=_LOOK_AGAIN)
