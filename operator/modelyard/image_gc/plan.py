"""The decision which manifests are in use, unused or expired, as pure functions."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass

from modelyard.image_gc.cluster_usage import UnusedSince
from modelyard.image_gc.repository import StoredManifest
from modelyard.image_gc.usage import Usage


@dataclass(frozen=True)
class GcPlan:
    """The manifests of the registry, each in one of three groups."""

    in_use: tuple[tuple[StoredManifest, str], ...]
    """Manifests that stay, each with the reason."""
    unused: tuple[tuple[StoredManifest, dt.datetime], ...]
    """Manifests to delete later, each with the time since when it is unused."""
    expired: tuple[tuple[StoredManifest, dt.datetime], ...]
    """Manifests to delete now, each with the time since when it is unused."""

    @property
    def unused_since(self) -> UnusedSince:
        """Return the times to save for the next run."""
        return {stored.name: since for stored, since in (*self.unused, *self.expired)}


def reason_to_keep(stored: StoredManifest, usage: Usage) -> str:
    """Return why an image stays, empty if there is no reason."""
    if users := usage.users(stored.repository, stored.digest, stored.tags):
        return ", ".join(users)
    if not stored.has_only_build_tags:
        return f"tagged {', '.join(stored.tags)}"
    if stored.repository in usage.building:
        return "a version of this Image is being built"
    return ""


def make_plan(
    manifests: Iterable[StoredManifest],
    reason_of: Callable[[StoredManifest], str],
    unused_since: UnusedSince,
    now: dt.datetime,
    older_than: dt.timedelta,
) -> GcPlan:
    """Sort manifests into the groups of a plan.

    `reason_of` returns the reason to keep a manifest, empty for none. Unused manifests expire after the
    duration `older_than`.
    """
    in_use = []
    unused = []
    expired = []
    for stored in manifests:
        since = unused_since.get(stored.name, now)
        if reason := reason_of(stored):
            in_use.append((stored, reason))
        elif now - since >= older_than:
            expired.append((stored, since))
        else:
            unused.append((stored, since))
    return GcPlan(tuple(in_use), tuple(unused), tuple(expired))


def untagged_manifests(unused_since: UnusedSince, tagged: Collection[StoredManifest]) -> list[StoredManifest]:
    """Return saved unused manifests that are not among the tagged ones: an interrupted run untagged them."""
    tagged_names = {stored.name for stored in tagged}
    missing = (name.partition("@") for name in unused_since if name not in tagged_names)
    return [StoredManifest(repository, digest) for repository, _, digest in missing]
