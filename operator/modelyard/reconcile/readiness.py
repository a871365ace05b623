"""Readiness gate: an object is not Ready before its dependents follow its newest version.

GitOps tools wait until every object of a change is Ready. Without the gate they would find all objects Ready
right after a change. The Model has its new version, and the Service still reports success for the old one.
"""

from __future__ import annotations

import dataclasses
from typing import Final

from modelyard.api.revision import Revision
from modelyard.api.status import State
from modelyard.reconcile.cache import Cache
from modelyard.reconcile.cache.objects import ids_in_status
from modelyard.reconcile.objects import CustomObject
from modelyard.reconcile.outcome import Outcome
from modelyard.reconcile.references import has_same_content

_RECHECK_SECONDS: Final = 1.0


def gate_readiness(cache: Cache, outcome: Outcome) -> Outcome:
    """Return the outcome, not ready while a ready dependent still runs on other content.

    Its status names an older version, or its newest version was recorded when the id had other content.
    """
    revision = outcome.revision
    if revision is None or outcome.state is not State.SUCCEEDED:
        return outcome
    followers = cache.objects.ready_followers(revision)
    lagging = next((obj.key for obj in followers if _lags(cache, obj, revision)), None)
    if lagging is None:
        return outcome
    message = f"{outcome.message}; {lagging.kind} {lagging.name} has yet to follow"
    return dataclasses.replace(outcome, message=message, ready=False, requeue_after=_RECHECK_SECONDS)


def _lags(cache: Cache, follower: CustomObject, revision: Revision) -> bool:
    ids = ids_in_status(follower)
    if revision.id not in ids:
        return True
    newest = cache.revisions.newest(follower.key)
    return newest is not None and not has_same_content(newest, ids, revision)
