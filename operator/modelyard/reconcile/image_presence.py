"""Presence of built images in the registry: a lost or moved registry is noticed, and images are built again.

Only images that Services use are looked at: `modelyard images prune` deletes others. A look is a HEAD by
digest outside the workers, once in each `registry.verifySeconds` for an Image.

An Image that was restored into another namespace has its image in the repository of the old one. The image
counts as present there: a build would only push the same bytes once more. The operator sends its credentials
with a look. So it asks only repositories below `registry.repository` of the present registry, even if a
ControllerRevision records another host.
"""

from __future__ import annotations

import datetime as dt
import logging
from typing import Final

from modelyard.api import labels
from modelyard.api.revision import Revision
from modelyard.coded_error import CodedError
from modelyard.reconcile import revisions
from modelyard.reconcile.builds.lookups import Pending
from modelyard.reconcile.builds.retries import attempts_of
from modelyard.reconcile.context import Context
from modelyard.reconcile.image_retention import used_versions
from modelyard.reconcile.objects import CustomObject

_LOG: Final = logging.getLogger(__name__)
CONFIRM_SECONDS: Final = 60.0
"""Seconds between the two looks that must both find no image: a registry that starts may answer 404.

A shorter `registry.verifySeconds` shortens them.
"""


async def look(ctx: Context, obj: CustomObject) -> float | None:
    """Look at the used images of an Image if that is due; return the seconds until the next look.

    A version whose location is not that of the image in the present registry gets the present location. A
    version whose image two looks have not found is marked as lost. None means no look.
    """
    period = ctx.settings.registry.verify_seconds
    used = used_versions(ctx, obj)
    built = [item for item in ctx.cache.revisions.history(obj) if item.location and item.version in used]
    if not period or not built:
        return None
    has_moved = any(item.location not in _locations(ctx, obj, item) for item in built)
    now = ctx.now()
    due, absent_before = ctx.cache.presence.of(obj.key, now, period, at_once=has_moved)
    if due > now:
        return (due - now).total_seconds()
    try:
        found = ctx.lookups.poll(obj.key, "presence", lambda: _find(ctx, obj, built))
    except CodedError as error:
        _LOG.info("cannot look at the images of %s: %s", obj.key, error)
        ctx.cache.presence.put(obj.key, now + dt.timedelta(seconds=period), absent_before)
        return period
    if isinstance(found, Pending):
        return None  # the answer queues the Image
    for item in built:
        if item.version in found:
            await _update_location(ctx, item, found[item.version])
    absent = frozenset(item.version for item in built) - found.keys()
    for item in built:
        if item.version in absent & absent_before:
            await _mark_lost(ctx, item)
    suspects = absent - absent_before
    wait = min(CONFIRM_SECONDS, period) if suspects else period
    ctx.cache.presence.put(obj.key, now + dt.timedelta(seconds=wait), suspects)
    return 0.0 if absent & absent_before else wait


async def _find(ctx: Context, obj: CustomObject, built: list[Revision]) -> dict[int, str]:
    """Return the location of each version's image in the present registry, by version."""
    found = {}
    for item in built:
        for location, image in _locations(ctx, obj, item).items():
            if await ctx.registry.digest(image):
                found[item.version] = location
                break
    return found


async def _update_location(ctx: Context, revision: Revision, location: str) -> None:
    if revision.location != location:
        await revisions.annotate(ctx, revision, {labels.IMAGE_LOCATION: location})
        for dependent in ctx.cache.objects.dependents(revision.key):
            ctx.queue.add(dependent)


async def _mark_lost(ctx: Context, revision: Revision) -> None:
    """Mark the image of a version as lost. The next attempt has a new number, so its Job has a new name."""
    _LOG.warning("the registry has no %s: %s is built again", revision.location, revision.id)
    attempts = str(attempts_of(revision) + 1)
    await revisions.annotate(ctx, revision, {labels.IMAGE_LOST: "true", labels.ATTEMPTS: attempts})


def _locations(ctx: Context, obj: CustomObject, revision: Revision) -> dict[str, str]:
    """Return the places of a version's image in the present registry: location → name for the operator.

    The repository that the version records comes first, then that of the Image itself.
    """
    registry = ctx.settings.registry
    recorded = str(revision.location).partition("@")[0].split("/")[-2:]  # namespace and name of an Image
    owners = "/".join(recorded), f"{obj.key.namespace}/{obj.key.name}"
    paths = [f"{registry.repository}/{owner}@{revision.digest}" for owner in owners]
    return {f"{registry.pull_name}/{path}": f"{registry.push}/{path}" for path in paths}
