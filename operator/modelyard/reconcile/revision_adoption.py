"""Adoption and release of versions: ControllerRevisions get their owner reference, or lose it."""

from __future__ import annotations

import logging
from typing import Final

from modelyard.api import labels
from modelyard.api.revision import Revision
from modelyard.kube.errors import Conflict
from modelyard.kube.types import CONFIG_MAPS, REVISIONS, Json
from modelyard.reconcile.adoption import NameTaken, claim, confirm_alive, is_adoptable
from modelyard.reconcile.context import Context
from modelyard.reconcile.objects import CustomObject
from modelyard.reconcile.revision_patch import patch_revision

_LOG: Final = logging.getLogger(__name__)


async def adopt_revisions(ctx: Context, obj: CustomObject) -> None:
    """Adopt the versions of a custom object that nothing controls, and the logs of their builds.

    The newest comes first: a dependent that reads the versions in between follows the right one. The watch
    may have reported only some of them, so all are read first.
    Raises Conflict if the custom object is being deleted or a version has changed since it was cached.
    """
    if not ctx.cache.revisions.adoptable(obj.key):
        return
    await confirm_alive(ctx, obj)
    await _read_all(ctx, obj)
    adoptable = ctx.cache.revisions.adoptable(obj.key)
    for revision in adoptable:
        await _adopt(ctx, obj, revision)
    _LOG.info("%s adopted %d versions", obj.key, len(adoptable))
    for dependent in ctx.cache.objects.dependents(obj.key):
        ctx.queue.add(dependent)


async def _adopt(ctx: Context, obj: CustomObject, revision: Revision) -> None:
    live = await ctx.client.get(REVISIONS, revision.key.namespace, revision.name)
    if metadata := await claim(ctx, obj, REVISIONS, live):
        live = await patch_revision(ctx, revision.key.namespace, revision.name, {"metadata": metadata})
    revision.owner_uid = obj.uid
    revision.resource_version = int(live["metadata"]["resourceVersion"])
    if revision.has_build_log:
        await _adopt_log(ctx, obj, revision)


async def _adopt_log(ctx: Context, obj: CustomObject, revision: Revision) -> None:
    """Adopt the ConfigMap with the log of a build; one of another owner is left alone."""
    name, namespace = revision.annotations[labels.BUILD_LOG], obj.key.namespace
    live = await ctx.client.get_or_none(CONFIG_MAPS, namespace, name)
    if live and is_adoptable(obj, live):
        metadata = await claim(ctx, obj, CONFIG_MAPS, live)
        await ctx.client.patch(CONFIG_MAPS, namespace, name, {"metadata": metadata})


async def release_revisions(ctx: Context, obj: CustomObject) -> None:
    """Remove the owner references from the versions of an object that is deleted with `--cascade=orphan`.

    The garbage collector does it, too, but its patch never succeeds for a version of release 0.2.0. It would
    never end the deletion.
    """
    for revision in ctx.cache.revisions.history(obj):
        patch: Json = {"metadata": {"ownerReferences": None}}
        written = await patch_revision(ctx, revision.key.namespace, revision.name, patch)
        revision.owner_uid = ""
        revision.resource_version = int(written["metadata"]["resourceVersion"])


async def existing_revision(ctx: Context, obj: CustomObject, version: int) -> Json:
    """Return a ControllerRevision that exists in the cluster but not in the cache.

    An operator that was killed before the response arrived leaves such a ControllerRevision. Raises NameTaken
    and Conflict like `claim`.

    A backup restores several, and their watch may report them later than their object. Raises Conflict after
    it has read them all into the cache, so that the next reconcile adopts them.
    """
    name = labels.revision_name(obj.key.kind, obj.key.name, version)
    live = await ctx.client.get(REVISIONS, obj.key.namespace, name)
    if not await claim(ctx, obj, REVISIONS, live):
        return live
    found = Revision.read(live, adoptable=True)
    if found is None or found.problem:
        raise NameTaken(obj, REVISIONS, name)
    await _read_all(ctx, obj)
    raise Conflict(f"{obj.key} has versions that it does not own yet")


async def _read_all(ctx: Context, obj: CustomObject) -> None:
    """Read all versions of a custom object into the cache."""
    selector = labels.text_of(labels.labels_of(obj.key.kind, obj.key.name))
    for body in await ctx.client.list_all(REVISIONS, obj.key.namespace, labelSelector=selector):
        ctx.cache.revisions.put(body)
