"""Limit of the history: the oldest versions of an object are removed beyond `history.limit`.

Each change of a Model makes four ControllerRevisions and a ConfigMap with the log of a build. Without a limit
they fill etcd, and the memory of every reader.
"""

from __future__ import annotations

from itertools import islice
from typing import Final

from modelyard.api import labels
from modelyard.api.names import parse_version_reference
from modelyard.api.owners import owner_of
from modelyard.api.revision import Revision, references_in
from modelyard.api.status import State
from modelyard.kube.types import CONFIG_MAPS, REVISIONS
from modelyard.reconcile.context import Context
from modelyard.reconcile.objects import CustomObject

_MAX_REMOVALS: Final = 20  # of one reconcile: an old history of thousands of versions must not hold a worker
NEXT_REMOVALS_SECONDS: Final = 1.0


async def limit_history(ctx: Context, obj: CustomObject) -> float | None:
    """Remove the oldest versions beyond the limit; return the seconds until the next call if more remain.

    Raises Conflict if a version has changed since it was cached.
    """
    limit = ctx.settings.history.limit
    if not limit or ctx.cache.revisions.count(obj) <= limit:
        return None
    removable = _removable(ctx, obj, limit)
    for revision in islice(removable, _MAX_REMOVALS):
        await _remove(ctx, obj, revision)
    return NEXT_REMOVALS_SECONDS if len(removable) > _MAX_REMOVALS else None


def _removable(ctx: Context, obj: CustomObject, limit: int) -> list[Revision]:
    """Return the versions beyond the limit that nothing needs, the oldest first.

    The newest version stays, so the numbers of later versions go on.
    """
    history = ctx.cache.revisions.history(obj)
    keep = _referenced(ctx, obj)
    built = [revision.version for revision in history if revision.location]
    # A Service serves the newest image that was built, however many builds have failed since.
    keep.update(built[: max(ctx.settings.registry.keep_versions, 1)])
    succeeded = (revision.version for revision in history if revision.state is State.SUCCEEDED)
    keep.update(islice(succeeded, 1))
    return [revision for revision in reversed(history[limit:]) if revision.version not in keep]


def _referenced(ctx: Context, obj: CustomObject) -> set[int]:
    """Return the versions that a spec, a status or a recorded version of another object refers to."""
    texts: list[str] = []
    for key in ctx.cache.objects.dependents(obj.key):
        if dependent := ctx.cache.objects.get(key):
            texts += references_in(key.kind, dependent.spec) + references_in(key.kind, dependent.status)
    references = (parse_version_reference(text) for text in texts)
    named = {ref.version for ref in references if ref.version and ref.name == obj.key.name}
    return named | ctx.cache.revisions.referenced_versions(obj.key)


async def _remove(ctx: Context, obj: CustomObject, revision: Revision) -> None:
    """Delete the log of a version's build, then its ControllerRevision as it is in the cache.

    An operator that is killed in between finds the ControllerRevision again.
    """
    namespace = obj.key.namespace
    if log := revision.annotations.get(labels.BUILD_LOG):
        body = await ctx.client.get_or_none(CONFIG_MAPS, namespace, log)
        owner = owner_of(body) if body else None
        if body and owner and owner.uid == obj.uid:
            await ctx.client.delete(CONFIG_MAPS, namespace, log, uid=body["metadata"]["uid"])
    await ctx.client.delete(
        REVISIONS, namespace, revision.name, resource_version=str(revision.resource_version)
    )
    ctx.cache.revisions.delete({"metadata": {"namespace": namespace, "name": revision.name}})
