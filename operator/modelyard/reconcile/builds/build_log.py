"""The log of a build, copied to a ConfigMap in the Image's namespace while the build runs and at its end."""

from __future__ import annotations

import logging
from typing import Final

from modelyard.api import labels
from modelyard.api.revision import Revision
from modelyard.contract.build_progress import BuildTimes, latest_progress, without_timestamps
from modelyard.kube.errors import AlreadyExists, Forbidden, NotFound, Rejected
from modelyard.kube.types import CONFIG_MAPS, Json
from modelyard.reconcile import revisions
from modelyard.reconcile.adoption import NameTaken, claim
from modelyard.reconcile.builds.pods import list_pods, pending_reason, read_log, read_log_of
from modelyard.reconcile.context import Context
from modelyard.reconcile.objects import BuildSnapshot, CustomObject
from modelyard.resources.revision import metadata

_LOG: Final = logging.getLogger(__name__)
POLL_SECONDS: Final = 3.0  # minimum time between two reads of a log, and so between two writes of the status
# Each write of a ConfigMap is a whole new object in etcd until its compaction, every 5 minutes by default.
# The pause grows to a tenth of the age of the build. For a log of 32 KiB it is 15 s: 640 KiB in 5 minutes.
_MAX_POLL_SECONDS: Final = 30.0
_PAUSE_PER_AGE: Final = 0.1
_BYTES_PER_SECOND: Final = 2200
_MAX_BYTES_RUNNING: Final = 32 * 1024  # of a log while its build runs
_RUNNING_LINES: Final = "300"
# A ConfigMap has at most 1 MiB: https://kubernetes.io/docs/concepts/configuration/configmap/
_MAX_BYTES: Final = 256 * 1024


async def update(ctx: Context, obj: CustomObject, revision: Revision, job: str) -> str:
    """Copy the log of a running build to its ConfigMap; return the progress of the build for the status.

    Within `_pause` of the last call the function returns the last progress and reads nothing.
    """
    now = ctx.now()
    snapshot = ctx.cache.build_jobs.snapshot(job)
    if snapshot and (now - snapshot.time).total_seconds() < _pause(snapshot):
        return snapshot.progress
    if pod := ctx.cache.build_jobs.running_pod(job):
        log = _last_bytes(await read_log_of(ctx, pod, _RUNNING_LINES), _MAX_BYTES_RUNNING)
        progress = latest_progress(log)
    else:
        pods = await list_pods(ctx, job)
        log = _last_bytes(await read_log(ctx, pods, _RUNNING_LINES), _MAX_BYTES_RUNNING)
        progress = latest_progress(log) or await pending_reason(ctx, job, pods)
    stored_log = await _store(ctx, obj, revision, log, snapshot)
    first = snapshot.first if snapshot else now
    ctx.cache.build_jobs.put_snapshot(job, BuildSnapshot(first, ctx.now(), stored_log, progress))
    return progress


def _pause(snapshot: BuildSnapshot) -> float:
    """Return the seconds until the next read of a log: more for an older build and for a larger log."""
    age = (snapshot.time - snapshot.first).total_seconds()
    size = len(snapshot.stored_log.encode())
    return min(_MAX_POLL_SECONDS, max(POLL_SECONDS, age * _PAUSE_PER_AGE, size / _BYTES_PER_SECOND))


async def store_final(
    ctx: Context, obj: CustomObject, revision: Revision, job: str, pods: list[Json]
) -> BuildTimes:
    """Copy the log of a build that has ended to its ConfigMap; return the ends of the build's steps."""
    log, times = without_timestamps(await read_log(ctx, pods, timestamps="true"))
    await _store(ctx, obj, revision, _last_bytes(log, _MAX_BYTES), ctx.cache.build_jobs.snapshot(job))
    return times


def _last_bytes(log: str, size: int) -> str:
    return log.encode()[-size:].decode(errors="ignore")


async def _store(
    ctx: Context, obj: CustomObject, revision: Revision, log: str, snapshot: BuildSnapshot | None
) -> str:
    """Write a log that changed, and the name of its ConfigMap to the revision; return the stored log.

    Returns an empty string if the API server rejects the ConfigMap: a build does not fail for its log.
    """
    stored_log = snapshot.stored_log if snapshot else ""
    if not log or log == stored_log:
        return stored_log
    try:
        name = await _write(ctx, obj, revision, log, exists=bool(stored_log))
    except Forbidden:
        raise
    except (NameTaken, NotFound, Rejected) as error:
        _LOG.warning("cannot store the log of the build of %s: %s", revision.id, error)
        return ""
    if revision.annotations.get(labels.BUILD_LOG) != name:
        await revisions.annotate(ctx, revision, {labels.BUILD_LOG: name})
    return log


async def _write(ctx: Context, obj: CustomObject, revision: Revision, log: str, *, exists: bool) -> str:
    """Create or patch the ConfigMap of a log; return its name.

    Raises NameTaken if the name belongs to an object of another owner, and Conflict like `claim`.
    """
    name = labels.log_name(obj.key.name, revision.version)
    data: Json = {"data": {"log": log}}
    if not exists:
        body = {**CONFIG_MAPS.header(), "metadata": metadata(revisions.as_owner(obj), name), **data}
        try:
            await ctx.client.create(CONFIG_MAPS, obj.key.namespace, body)
        except AlreadyExists:
            live = await ctx.client.get(CONFIG_MAPS, obj.key.namespace, name)
            if claimed := await claim(ctx, obj, CONFIG_MAPS, live):
                data["metadata"] = claimed
        else:
            return name
    await ctx.client.patch(CONFIG_MAPS, obj.key.namespace, name, data)
    return name
