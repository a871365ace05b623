"""Replicas that ran out of memory: pure functions of the status of their pods, with the figures."""

from __future__ import annotations

import datetime as dt
from typing import Final

from modelyard.kube.types import Json
from modelyard.reconcile.timestamps import parse_timestamp
from modelyard.resources.pod_template import CONTAINER
from modelyard.scoring.contract import OUT_OF_MEMORY

REMEMBERED: Final = dt.timedelta(hours=1)
"""Time for which a Service reports that a replica ran out of memory, although the replica runs again."""

_KILLED: Final = "OOMKilled"  # reason of a container's end, set by the container runtime
_MAX_REPORT: Final = 200  # characters of the report that the scoring runtime has written


def ran_out_of_memory(ended: Json) -> bool:
    """Return True if the end of a scoring container is for want of memory.

    The container runtime reports it, or the front does if the kernel killed a worker process only.
    """
    return ended.get("reason") == _KILLED or ended.get("exitCode") == OUT_OF_MEMORY


def last_out_of_memory(pods: list[Json], now: dt.datetime) -> str | None:
    """Return a sentence on the last replica that ran out of memory, None if there is none within the hour."""
    ends = [
        (parse_timestamp(ended["finishedAt"]) if ended.get("finishedAt") else now, pod, ended)
        for pod in pods
        for ended in _ends(pod)
        if ran_out_of_memory(ended)
    ]
    recent = [end for end in ends if now - end[0] < REMEMBERED]
    if not recent:
        return None
    finished, pod, ended = max(recent, key=lambda end: end[0])
    return f"{describe_end(pod, ended)} (at {finished:%H:%M:%S} UTC)"


def _ends(pod: Json) -> list[Json]:
    """Return the ends of the scoring container of a pod: of the present and of the last run."""
    containers = pod.get("status", {}).get("containerStatuses", ())
    states = [
        item.get(field, {})
        for item in containers
        if item["name"] == CONTAINER
        for field in ("state", "lastState")
    ]
    return [state["terminated"] for state in states if state.get("terminated")]


def describe_end(pod: Json, ended: Json) -> str:
    """Return a sentence on a replica that ran out of memory: its limit, its use and the way out."""
    resources = _resources(pod)
    limit = resources.get("limits", {}).get("memory")
    reserved = resources.get("requests", {}).get("memory", "no memory")
    bound = f"it reached its memory limit of {limit}" if limit else "the memory of its node was used up"
    report = " ".join(str(ended.get("message") or "").split())[:_MAX_REPORT]
    detail = f" ({report})" if report else ""
    return (
        f"pod {pod['metadata']['name']} ran out of memory: {bound}, and reserves {reserved}{detail}."
        " Raise containerResourceReservation.memory, and pod.resources.limits.memory if it is set, or lower"
        " maxConcurrentRequestsPerContainer"
    )


def _resources(pod: Json) -> Json:
    containers = pod.get("spec", {}).get("containers", ())
    return next((item.get("resources", {}) for item in containers if item["name"] == CONTAINER), {})
