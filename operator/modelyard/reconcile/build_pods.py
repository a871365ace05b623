"""What the pods of a build Job say: how far it is, how it ended, its log."""

from __future__ import annotations

import logging
from typing import Final

from pydantic import ValidationError

from modelyard.build.progress import newest
from modelyard.build.request import BuildResult
from modelyard.kube.errors import KubeError
from modelyard.kube.types import EVENTS, JOBS, PODS, ApiResource, Json
from modelyard.reconcile.causes import find_cause
from modelyard.reconcile.context import Context
from modelyard.resources.build_pod import CONTAINER

_LOG: Final = logging.getLogger(__name__)
_LINES: Final = "10000"  # of a log that is kept
_NEWEST_LINES: Final = "50"  # of a log that is looked at for progress: more than are written meanwhile
_LONGEST_NOTE: Final = 300  # characters


async def pods_of(ctx: Context, job: str) -> list[Json]:
    """The pods of a build Job, oldest first."""
    pods = await ctx.client.list_all(
        PODS, ctx.settings.namespace, labelSelector=f"batch.kubernetes.io/job-name={job}"
    )
    return sorted(pods, key=lambda pod: pod["metadata"]["creationTimestamp"])


async def log_of(ctx: Context, pods: list[Json], lines: str = _LINES) -> str | None:
    """The log of the newest pod; None without one, or when the kubelet does not give it."""
    if not pods:
        return None
    name = pods[-1]["metadata"]["name"]
    try:
        return await ctx.client.log(ctx.settings.namespace, name, container=CONTAINER, tailLines=lines)
    except KubeError as error:
        _LOG.warning("log of the build's pod %s: %s", name, error)
        return None


async def progress_of(ctx: Context, job: str) -> str | None:
    """The step of a build at work and its newest amount of bytes, or what keeps it from beginning."""
    try:
        pods = await pods_of(ctx, job)
        if not pods:
            return await _warning(ctx, JOBS, job)
        pod = pods[-1]
        if pod.get("status", {}).get("phase", "Pending") != "Pending":
            return newest(await log_of(ctx, pods, _NEWEST_LINES) or "") or None
        cause = find_cause([pod])
        return _short(cause.message) if cause else await _warning(ctx, PODS, pod["metadata"]["name"])
    except KubeError as error:  # it is told, not needed: the build goes on without
        _LOG.warning("progress of build %s: %s", job, error)
        return None


async def _warning(ctx: Context, resource: ApiResource, name: str) -> str | None:
    """The newest complaint of Kubernetes: a pod that admission refuses, a volume that is not there."""
    about = f"type=Warning,regarding.kind={resource.kind},regarding.name={name}"
    events = await ctx.client.list_all(EVENTS, ctx.settings.namespace, fieldSelector=about)
    newest_event = max(events, key=lambda event: event["metadata"]["creationTimestamp"], default=None)
    return _short(newest_event.get("note", "")) if newest_event else None


def _short(note: str) -> str:
    return note if len(note) <= _LONGEST_NOTE else f"{note[:_LONGEST_NOTE]}…"


def result_of(pods: list[Json]) -> BuildResult | None:
    """The newest result that a builder left; None when none did."""
    for pod in reversed(pods):
        message = terminated(pod).get("message", "")
        try:
            return BuildResult.model_validate_json(message)
        except ValidationError:
            continue
    return None


def terminated(pod: Json) -> Json:
    """How the builder's container ended; empty while it has not."""
    for container in pod.get("status", {}).get("containerStatuses", ()):
        if container["name"] == CONTAINER:
            ended: Json = container["state"].get("terminated", {})
            return ended
    return {}
