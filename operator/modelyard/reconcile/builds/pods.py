"""What the pods of a build Job say: what keeps it from beginning, its log, how it ended."""

from __future__ import annotations

import logging
from typing import Final

from pydantic import ValidationError

from modelyard.api.labels import JOB_NAME
from modelyard.contract.build_pod import CONTAINER
from modelyard.contract.build_request import BuildResult
from modelyard.kube.errors import KubeError
from modelyard.kube.types import EVENTS, JOBS, PODS, ApiResource, Json
from modelyard.reconcile.context import Context
from modelyard.reconcile.pod_diagnosis import diagnose_pods

_LOG: Final = logging.getLogger(__name__)
_LINES: Final = "10000"  # of a log
_LONGEST_NOTE: Final = 300  # characters


async def pods_of(ctx: Context, job: str) -> list[Json]:
    """The pods of a build Job, oldest first."""
    pods = await ctx.client.list_all(PODS, ctx.settings.namespace, labelSelector=f"{JOB_NAME}={job}")
    return sorted(pods, key=lambda pod: pod["metadata"]["creationTimestamp"])


async def log_of(ctx: Context, pods: list[Json]) -> str:
    """The end of the newest pod's log; empty when there is none, or none to be had."""
    if not pods:
        return ""
    name = pods[-1]["metadata"]["name"]
    try:
        return await ctx.client.log(ctx.settings.namespace, name, container=CONTAINER, tailLines=_LINES)
    except KubeError as error:
        # The container that has still to begin is a 400.
        level = logging.DEBUG if error.status == 400 else logging.WARNING
        _LOG.log(level, "log of the build's pod %s: %s", name, error)
        return ""


async def pending_reason(ctx: Context, job: str, pods: list[Json]) -> str:
    """What keeps a build from beginning, in words; empty when nothing is known to."""
    if not pods:
        return await _warning(ctx, JOBS, job)
    if pods[-1].get("status", {}).get("phase", "Pending") != "Pending":
        return ""
    cause = diagnose_pods(pods[-1:])
    return _short(cause.message) if cause else await _warning(ctx, PODS, pods[-1]["metadata"]["name"])


async def _warning(ctx: Context, resource: ApiResource, name: str) -> str:
    """The newest complaint of Kubernetes: a pod that admission refuses, a volume that is not there."""
    about = f"type=Warning,regarding.kind={resource.kind},regarding.name={name}"
    events = await ctx.client.list_all(EVENTS, ctx.settings.namespace, fieldSelector=about)
    newest_event = max(events, key=lambda event: event["metadata"]["creationTimestamp"], default=None)
    return _short(newest_event.get("note", "")) if newest_event else ""


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
    ended: Json = _state(pod).get("terminated", {})
    return ended


def is_running(pod: Json) -> bool:
    """Whether the builder's container has begun and not ended."""
    return "running" in _state(pod)


def _state(pod: Json) -> Json:
    for container in pod.get("status", {}).get("containerStatuses", ()):
        if container["name"] == CONTAINER:
            state: Json = container["state"]
            return state
    return {}
