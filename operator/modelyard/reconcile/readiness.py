"""Readiness gate: an object is not Ready before its dependents follow its newest version.

GitOps tools wait until every object of a change is Ready. Without the gate they would find all objects Ready
right after a change. The Model has its new version, and the Service still reports success for the old one.
"""

from __future__ import annotations

import dataclasses
from typing import Final

from modelyard.api.kinds import IMAGE
from modelyard.api.names import parse_version_reference
from modelyard.api.revision import REFERENCES, Revision, references_in
from modelyard.api.status import State
from modelyard.kube.types import Key
from modelyard.reconcile.cache import Cache
from modelyard.reconcile.cache.objects import Follower
from modelyard.reconcile.objects import CustomObject
from modelyard.reconcile.outcome import Outcome
from modelyard.reconcile.references import has_same_content

_RECHECK_SECONDS: Final = 1.0


def gate_readiness(cache: Cache, obj: CustomObject, outcome: Outcome) -> Outcome:
    """Return the outcome, not ready before the object and its dependents run on the newest content.

    No await may separate this check from the registration of the status as a write in flight. Otherwise two
    workers could each find the other's object not ready, and report Ready for different versions.
    """
    revision = outcome.revision
    if revision is None or outcome.state is not State.SUCCEEDED:
        return outcome
    if superseded := _superseding_version(cache, obj, revision):
        return _not_ready(outcome, f"{superseded.kind.name} {superseded.id} has yet to be followed")
    followers = cache.objects.ready_followers(revision)
    lagging = next((follower.key for follower in followers if _lags(cache, follower, revision)), None)
    return _not_ready(outcome, f"{lagging.kind} {lagging.name} has yet to follow") if lagging else outcome


def _not_ready(outcome: Outcome, reason: str) -> Outcome:
    message = f"{outcome.message}; {reason}"
    return dataclasses.replace(outcome, message=message, ready=False, requeue_after=_RECHECK_SECONDS)


def _superseding_version(cache: Cache, obj: CustomObject, revision: Revision) -> Revision | None:
    """Return a version that the object refers to, and that was recorded during this reconcile, else None."""
    if obj.key.kind not in REFERENCES:
        return None
    kind = REFERENCES[obj.key.kind].kind
    for text in references_in(obj.key.kind, obj.spec):
        reference = parse_version_reference(text)
        key = Key(kind, obj.key.namespace, reference.name)
        if reference.version:
            current = cache.revisions.get(key, reference.version)
        elif kind == IMAGE.name:
            current = cache.revisions.newest_built(key)  # a Service runs on while a newer version is built
        else:
            current = cache.revisions.newest(key)
        if current and not (
            current.id in revision.references and has_same_content(revision, revision.references, current)
        ):
            return current
    return None


def _lags(cache: Cache, follower: Follower, revision: Revision) -> bool:
    if revision.id not in follower.ids:
        return True
    recorded = cache.revisions.get(follower.key, follower.version)
    return recorded is not None and not has_same_content(recorded, follower.ids, revision)
