"""Resolution of references: the version that `name` or `name:version` stands for at this moment.

Reconcilers and the readiness gate use the same functions. So the gate never takes a version for the followed
one that a reconcile would not follow.
"""

from __future__ import annotations

from typing import NamedTuple

from modelyard.api.kinds import Kind
from modelyard.api.names import parse_version_reference
from modelyard.api.revision import Revision
from modelyard.kube.types import Key
from modelyard.reconcile.cache import Cache
from modelyard.reconcile.references import has_same_content


class Missing(NamedTuple):
    """The result of a reference that cannot be resolved yet."""

    message: str  # a sentence for the status that names the missing object or version
    reason: str | None = None  # of the status, None for the reason of an object that does not exist


def resolve(cache: Cache, kind: Kind, namespace: str, text: str) -> Revision | Missing:
    """Return the version that a reference names: the newest for `name`, the given one for `name:version`.

    The versions of a deleted object of that name do not count.
    """
    reference = parse_version_reference(text)
    key = Key(kind.name, namespace, reference.name)
    obj = cache.objects.get(key)
    if obj is None:
        return Missing(f"waiting for {kind.name} {reference.name}, which does not exist")
    newest = cache.revisions.newest(key)
    if newest is None:
        return Missing(f"waiting for the first version of {kind.name} {reference.name}")
    if reference.version is None:
        return _unusable(newest) or newest
    revision = cache.revisions.get(obj, reference.version)
    if revision is None:
        message = f"waiting for {kind.name} {text}: the newest version is {newest.version}"
        if reference.version < newest.version:
            message += ", and unused versions are removed beyond the chart's history.limit"
        return Missing(message)
    return _unusable(revision) or revision


def recorded_reference(cache: Cache, kind: Kind, follower: Revision, id_: str) -> Revision | None:
    """Return a version that another one was recorded with, None if its object was deleted or replaced."""
    found = resolve(cache, kind, follower.key.namespace, id_)
    if isinstance(found, Missing) or not has_same_content(follower, follower.references, found):
        return None
    return found


def _unusable(revision: Revision) -> Missing | None:
    """Return the message about a version whose ControllerRevision has no valid data, None for a valid one."""
    if not revision.problem:
        return None
    message = (
        f"{revision.kind.name} {revision.id} cannot be used: the data of ControllerRevision {revision.name}"
        f" is not valid ({revision.problem}). Delete this ControllerRevision, or refer to another version"
    )
    return Missing(message, "VersionInvalid")


def built_version(cache: Cache, image: Revision, text: str) -> Revision | None:
    """Return the version of an Image that a Service serves, None if there is none yet.

    `image` is the version that the reference `text` names. A Service that follows the Image by name serves
    the newest built version while a newer one is built.
    """
    if parse_version_reference(text).version is None:
        return cache.revisions.newest_built(image.key)
    return image if image.location else None
