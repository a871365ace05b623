"""Deletion of the images in the registry that have been unused for some time.

An image that comes into use during a run is not lost, whenever the process ends. The operator records a
version of an Image before it looks the image up by tag. A recorded version counts as a use, or as being
built. So a run first deletes the tags of expired images. Then it waits until the operator's cached digests
have expired, and reads the cluster again. A version that found the image before the tag was deleted is now
visible in the cluster. A later version does not find the image, and builds it again.
"""

from __future__ import annotations

import datetime as dt
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Protocol

from modelyard.digest_lookup import DIGEST_TTL_SECONDS
from modelyard.image_gc.cluster_usage import UnusedSince
from modelyard.image_gc.index_members import IndexMembers
from modelyard.image_gc.plan import GcPlan, make_plan, untagged_manifests
from modelyard.image_gc.repository import ImageRepositories, StoredManifest
from modelyard.image_gc.usage import Usage

_SETTLE_SECONDS: Final = 2 * DIGEST_TTL_SECONDS
"""Seconds between the deletion of tags and the second reading: longer than the operator caches a digest."""


class UsageStore(Protocol):
    """The methods of ClusterUsage that garbage collection calls."""

    def usage(self) -> Usage:
        """Return which objects use which image now."""

    def unused_since(self) -> UnusedSince:
        """Return the saved times."""

    def save_unused_since(self, unused_since: UnusedSince) -> None:
        """Replace the saved times."""


@dataclass(frozen=True)
class GcReport:
    """The plan for images, and the plan for the cached layers that images share."""

    images: GcPlan
    layers: GcPlan
    members: IndexMembers

    @property
    def unused_since(self) -> UnusedSince:
        """Return the times to save for the next run."""
        return {**self.images.unused_since, **self.layers.unused_since}


def make_report(
    cluster: UsageStore, repositories: ImageRepositories, now: dt.datetime, older_than: dt.timedelta
) -> GcReport:
    """Return the state of all images and cached layers, and change nothing.

    Unused ones expire after the duration `older_than`. Raises RegistryError and KubeError.
    """
    unused_since = cluster.unused_since()
    usage = cluster.usage()
    tagged = repositories.images(usage.repositories)
    cached_layers = repositories.cached_layers()
    candidates = untagged_manifests(unused_since, [*tagged, *cached_layers])
    untagged = [stored for stored in candidates if repositories.exists(stored)]
    found = [*tagged, *untagged]
    members = IndexMembers({stored: repositories.members(stored) for stored in found})
    names = {stored.name for stored in found}
    # An index comes before its images: some registries refuse to delete an image that is in an index.
    found += [stored for stored in members if stored.name not in names and repositories.exists(stored)]

    def reason_for_image(image: StoredManifest) -> str:
        return members.reason_to_keep(image, usage)

    images = make_plan(found, reason_for_image, unused_since, now, older_than)
    layers_in_use: set[str] = set()
    if cached_layers:
        for stored, _ in (*images.in_use, *images.unused):
            layers_in_use |= repositories.layer_digests(stored)

    def reason_for_layer(entry: StoredManifest) -> str:
        return "in use" if repositories.layer_digests(entry) & layers_in_use else ""

    layers = make_plan(cached_layers, reason_for_layer, unused_since, now, older_than)
    return GcReport(images, layers, members)


def prune(
    cluster: UsageStore,
    repositories: ImageRepositories,
    report: GcReport,
    log: Callable[[str], None],
    sleep: Callable[[float], None] = time.sleep,
) -> None:
    """Delete what has expired, and save since when the rest is unused.

    Raises RegistryError and KubeError. Deletions before the error are final, and the next run continues.
    """
    cluster.save_unused_since(report.unused_since)
    done = _prune_images(cluster, repositories, report, log, sleep)
    for entry, _ in report.layers.expired:
        repositories.delete(entry)
        log(f"deleted {entry.name}")
        done.add(entry.name)
    if done:
        remaining = {name: since for name, since in report.unused_since.items() if name not in done}
        cluster.save_unused_since(remaining)


def _prune_images(
    cluster: UsageStore,
    repositories: ImageRepositories,
    report: GcReport,
    log: Callable[[str], None],
    sleep: Callable[[float], None],
) -> set[str]:
    """Delete expired images unless they came into use. Return the names of all that were expired."""
    expired = [stored for stored, _ in report.images.expired]
    if not expired:
        return set()
    manifests = {stored: repositories.untag(stored) for stored in expired}
    sleep(_SETTLE_SECONDS)
    usage = cluster.usage()
    for stored, manifest in manifests.items():
        if reason := report.members.reason_to_keep(stored, usage):
            repositories.retag(stored, manifest)
            log(f"kept {stored.name}: {reason}")
        else:
            repositories.delete(stored)
            log(f"deleted {stored.name}")
    return {stored.name for stored in expired}
