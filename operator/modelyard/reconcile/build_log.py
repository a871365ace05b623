"""The log of a build, kept in a ConfigMap of its Image: while it grows, and after its pod has gone."""

from __future__ import annotations

import logging
from typing import Final

from modelyard.build.progress import newest
from modelyard.kube.errors import AlreadyExists, Denied, KubeError, NotFound, Refused
from modelyard.kube.types import CONFIG_MAPS, PODS, Json
from modelyard.reconcile import versions
from modelyard.reconcile.causes import find_cause
from modelyard.reconcile.children import NameTaken, check_owner
from modelyard.reconcile.context import Context
from modelyard.reconcile.known import BuildLook, Item, Record
from modelyard.resources import labels
from modelyard.resources.build_job import CONTAINER
from modelyard.resources.revision import metadata

_LOG: Final = logging.getLogger(__name__)
PAUSE_SECONDS: Final = 3.0  # between two looks at a build that runs, and so between its writes
_LINES: Final = "10000"
_BYTES: Final = 256 * 1024  # a ConfigMap takes 1 MiB; a log is kept from its end


async def follow(ctx: Context, item: Item, record: Record, job: str) -> str:
    """How far a running build is, or what keeps it from running; what is new in its log is kept.

    Looks not more often than every PAUSE_SECONDS: the answer is what was seen last.
    """
    seen = ctx.store.build_look(job)
    if seen and (ctx.now() - seen.at).total_seconds() < PAUSE_SECONDS:
        return seen.progress
    pods = await pods_of(ctx, job)
    log = await _read(ctx, record, pods)
    cause = find_cause(pods)
    progress = newest(log) or (cause.message if cause else "")
    kept = await _keep(ctx, item, record, log, seen)
    ctx.store.put_build_look(job, BuildLook(ctx.now(), kept, progress))
    return progress


async def finish(ctx: Context, item: Item, record: Record, job: str, pods: list[Json]) -> None:
    """Keep the log of a build that has ended."""
    await _keep(ctx, item, record, await _read(ctx, record, pods), ctx.store.build_look(job))


async def pods_of(ctx: Context, job: str) -> list[Json]:
    """The pods of a build Job, oldest first."""
    selector = f"batch.kubernetes.io/job-name={job}"
    pods = await ctx.client.list_all(PODS, ctx.settings.namespace, labelSelector=selector)
    return sorted(pods, key=lambda pod: str(pod["metadata"]["creationTimestamp"]))


async def _read(ctx: Context, record: Record, pods: list[Json]) -> str:
    """The end of the newest pod's log; empty when there is none, or none to be had."""
    if not pods:
        return ""
    name = pods[-1]["metadata"]["name"]
    try:
        log = await ctx.client.log(ctx.settings.namespace, name, container=CONTAINER, tailLines=_LINES)
    except KubeError as error:
        # The container that has still to begin is a 400.
        level = logging.DEBUG if error.status == 400 else logging.WARNING
        _LOG.log(level, "log of the build of %s: %s", record.id, error)
        return ""
    return log.encode()[-_BYTES:].decode(errors="ignore")


async def _keep(ctx: Context, item: Item, record: Record, log: str, seen: BuildLook | None) -> str:
    """Write a log if it has news, and let the record tell where it is; what is kept now, as far as known.

    No build fails because its log cannot be kept.
    """
    kept = seen.kept if seen else ""
    if not log or log == kept:
        return kept
    try:
        name = await _write(ctx, item, record, log, is_there=bool(kept))
    except Denied:
        raise
    except (NameTaken, NotFound, Refused) as error:
        _LOG.warning("log of the build of %s: %s", record.id, error)
        return ""
    if record.annotations.get(labels.BUILD_LOG) != name:
        await versions.annotate(ctx, record, {labels.BUILD_LOG: name})
    return log


async def _write(ctx: Context, item: Item, record: Record, log: str, *, is_there: bool) -> str:
    """Make the ConfigMap of a log say it; its name. NameTaken when it belongs to somebody else."""
    name = labels.log_name(item.key.name, record.version)
    data = {"data": {"log": log}}
    if not is_there:
        body = {**CONFIG_MAPS.header(), "metadata": metadata(versions.owner(item), name), **data}
        try:
            await ctx.client.create(CONFIG_MAPS, item.key.namespace, body)
        except AlreadyExists:
            check_owner(item, CONFIG_MAPS, await ctx.client.get(CONFIG_MAPS, item.key.namespace, name))
        else:
            return name
    await ctx.client.merge(CONFIG_MAPS, item.key.namespace, name, data)
    return name
