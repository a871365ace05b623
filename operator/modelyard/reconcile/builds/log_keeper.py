"""The log of a build, kept in a ConfigMap of its Image: while it grows, and after its pod has gone."""

from __future__ import annotations

import logging
from typing import Final

from modelyard.api import labels
from modelyard.api.revision import Revision
from modelyard.contract.build_progress import latest_progress
from modelyard.kube.errors import AlreadyExists, Forbidden, NotFound, Rejected
from modelyard.kube.types import CONFIG_MAPS, Json
from modelyard.reconcile import revisions
from modelyard.reconcile.builds.pods import (
    log_of,
    pending_reason,
    pods_of,
)
from modelyard.reconcile.children import NameTaken, check_owner
from modelyard.reconcile.context import Context
from modelyard.reconcile.objects import BuildSnapshot, CustomObject
from modelyard.resources.revision import metadata

_LOG: Final = logging.getLogger(__name__)
PAUSE_SECONDS: Final = 3.0  # between two looks at a build that runs, and so between its writes
_BYTES: Final = 256 * 1024  # a ConfigMap takes 1 MiB; a log is kept from its end


async def follow(ctx: Context, item: CustomObject, record: Revision, job: str) -> str:
    """How far a running build is, or what keeps it from running; what is new in its log is kept.

    Looks not more often than every PAUSE_SECONDS: the answer is what was seen last.
    """
    seen = ctx.cache.build_jobs.snapshot(job)
    if seen and (ctx.now() - seen.time).total_seconds() < PAUSE_SECONDS:
        return seen.progress
    pods = await pods_of(ctx, job)
    log = _end(await log_of(ctx, pods))
    progress = latest_progress(log) or await pending_reason(ctx, job, pods)
    kept = await _keep(ctx, item, record, log, seen)
    ctx.cache.build_jobs.put_snapshot(job, BuildSnapshot(ctx.now(), kept, progress))
    return progress


async def finish(ctx: Context, item: CustomObject, record: Revision, job: str, pods: list[Json]) -> None:
    """Keep the log of a build that has ended."""
    await _keep(ctx, item, record, _end(await log_of(ctx, pods)), ctx.cache.build_jobs.snapshot(job))


def _end(log: str) -> str:
    return log.encode()[-_BYTES:].decode(errors="ignore")


async def _keep(
    ctx: Context, item: CustomObject, record: Revision, log: str, seen: BuildSnapshot | None
) -> str:
    """Write a log if it has news, and let the record tell where it is; what is kept now, as far as known.

    No build fails because its log cannot be kept.
    """
    kept = seen.stored_log if seen else ""
    if not log or log == kept:
        return kept
    try:
        name = await _write(ctx, item, record, log, is_there=bool(kept))
    except Forbidden:
        raise
    except (NameTaken, NotFound, Rejected) as error:
        _LOG.warning("log of the build of %s: %s", record.id, error)
        return ""
    if record.annotations.get(labels.BUILD_LOG) != name:
        await revisions.annotate(ctx, record, {labels.BUILD_LOG: name})
    return log


async def _write(ctx: Context, item: CustomObject, record: Revision, log: str, *, is_there: bool) -> str:
    """Make the ConfigMap of a log say it; its name. NameTaken when it belongs to somebody else."""
    name = labels.log_name(item.key.name, record.version)
    data = {"data": {"log": log}}
    if not is_there:
        body = {**CONFIG_MAPS.header(), "metadata": metadata(revisions.owner(item), name), **data}
        try:
            await ctx.client.create(CONFIG_MAPS, item.key.namespace, body)
        except AlreadyExists:
            check_owner(item, CONFIG_MAPS, await ctx.client.get(CONFIG_MAPS, item.key.namespace, name))
        else:
            return name
    await ctx.client.patch(CONFIG_MAPS, item.key.namespace, name, data)
    return name
