"""Readiness gate: an object is not Ready before its dependents follow its newest version.

GitOps tools wait until every object of a change is Ready. Without the gate they would find all objects Ready
right after a change. The Model has its new version, and the Service still reports success for the old one.
"""

from __future__ import annotations

import dataclasses
from typing import Final

from modelyard.api import labels
from modelyard.api.kinds import IMAGE, KINDS_BY_NAME
from modelyard.api.names import parse_version_reference
from modelyard.api.revision import REFERENCES, Revision, references_in
from modelyard.api.status import State
from modelyard.kube.types import Key
from modelyard.reconcile.cache import Cache
from modelyard.reconcile.cache.objects import Follower
from modelyard.reconcile.objects import CustomObject
from modelyard.reconcile.outcome import Outcome
from modelyard.reconcile.references import has_same_content
from modelyard.reconcile.resolution import Missing, built_version, resolve

_RECHECK_SECONDS: Final = 1.0


def gate_readiness(cache: Cache, obj: CustomObject, outcome: Outcome) -> Outcome:
    """Return the outcome, not ready before the object and its dependents run on the newest content.

    No await may separate this check from the registration of the status as a write in flight. Otherwise two
    workers could each find the other's object not ready, and report Ready for different versions.
    """
    revision = outcome.revision
    if revision is None or outcome.state is not State.SUCCEEDED:
        return outcome
    if reason := _superseded_reference(cache, obj, revision):
        return _not_ready(outcome, reason)
    followers = cache.objects.ready_followers(revision)
    lagging = next((follower.key for follower in followers if _lags(cache, follower, revision)), None)
    return _not_ready(outcome, f"{lagging.kind} {lagging.name} has yet to follow") if lagging else outcome


def gate_stall(cache: Cache, obj: CustomObject, outcome: Outcome) -> Outcome:
    """Return the outcome, in progress while the object has yet to follow a change of an object it refers to.

    A GitOps tool that applies the repair of a Manifest looks at all objects at once. Only the Manifest has a
    new generation, so the Image would still report the failure of the old content, for good.
    """
    if not outcome.needs_user:
        return outcome
    changed = _unfollowed_change(cache, obj, outcome.revision)
    if changed is None:
        return outcome
    message = f"{outcome.message}; {changed.kind} {changed.name} has changed since"
    # The end of a build queues the Services. An object whose change leads to no version queues nothing.
    seconds = outcome.requeue_after if _is_observed(cache.objects.get(changed)) else _RECHECK_SECONDS
    return dataclasses.replace(outcome, message=message, retrying=True, stalled=False, requeue_after=seconds)


def _unfollowed_change(cache: Cache, obj: CustomObject, revision: Revision | None) -> Key | None:
    """Return an object with a change that `obj` has yet to follow by name, directly or indirectly."""
    if obj.key.kind not in REFERENCES:
        return None
    for text in references_in(obj.key.kind, obj.spec):
        followed = _followed_version(cache, obj.key, text)
        if revision and isinstance(followed, Revision) and not _is_of_version(revision, followed):
            return followed.key
        reference = parse_version_reference(text)
        target = cache.objects.get(Key(REFERENCES[obj.key.kind].kind, obj.key.namespace, reference.name))
        if reference.version or target is None or target.deleting:
            continue
        newest = cache.revisions.newest(target.key)
        if not _is_observed(target) or (newest and _is_being_built(newest, revision)):
            return target.key
        if changed := _unfollowed_change(cache, target, newest):
            return changed
    return None


def _is_observed(obj: CustomObject | None) -> bool:
    """Return True if the status belongs to the present spec of an object."""
    return obj is None or obj.status.get("observedGeneration") == obj.generation


def _is_being_built(image: Revision, service: Revision | None) -> bool:
    """Return True if a Service follows a version of an Image as soon as it is built."""
    if image.key.kind != IMAGE.name or (service and image.id in service.references):
        return False
    return image.state is None or labels.RETRY in image.annotations


def _not_ready(outcome: Outcome, reason: str) -> Outcome:
    message = f"{outcome.message}; {reason}"
    return dataclasses.replace(outcome, message=message, ready=False, requeue_after=_RECHECK_SECONDS)


def _superseded_reference(cache: Cache, obj: CustomObject, revision: Revision) -> str | None:
    """Return why a version is not of the content that the object's references name now, None if it is.

    A referenced version may be recorded, built or deleted while the object is reconciled.
    """
    for text in references_in(obj.key.kind, obj.spec):
        followed = _followed_version(cache, obj.key, text)
        if isinstance(followed, Missing):
            return followed.message
        if not _is_of_version(revision, followed):
            return f"{followed.kind.name} {followed.id} has yet to be followed"
    return None


def _is_of_version(revision: Revision, followed: Revision) -> bool:
    """Return True if a version was recorded with the followed version and its present content."""
    return followed.id in revision.references and has_same_content(revision, revision.references, followed)


def _followed_version(cache: Cache, follower: Key, text: str) -> Revision | Missing:
    """Return the version that a reconcile of the follower would follow at this moment."""
    kind = KINDS_BY_NAME[REFERENCES[follower.kind].kind]
    named = resolve(cache, kind, follower.namespace, text)
    if isinstance(named, Missing) or kind is not IMAGE:
        return named
    return built_version(cache, named, text) or Missing(f"waiting for Image {named.id}, which is not built")


def _lags(cache: Cache, follower: Follower, revision: Revision) -> bool:
    if revision.id not in follower.ids:
        return True
    obj = cache.objects.get(follower.key)
    recorded = cache.revisions.get(obj, follower.version) if obj else None
    return recorded is not None and not has_same_content(recorded, follower.ids, revision)
