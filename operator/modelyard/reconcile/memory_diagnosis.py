"""Containers that ran out of memory: pure functions of the status of their pods, with the figures."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from typing import Final, NamedTuple

from modelyard.kube.types import Json
from modelyard.reconcile.timestamps import parse_timestamp
from modelyard.resources.pod_template import CONTAINER
from modelyard.scoring.contract import OUT_OF_MEMORY

REMEMBERED: Final = dt.timedelta(hours=1)
"""Time for which a Service reports that a replica ran out of memory, although the replica runs again."""

_KILLED: Final = "OOMKilled"  # reason of a container's end, set by the container runtime
_MAX_REPORT: Final = 200  # characters of the report that the scoring runtime has written
_RAISE_OWN: Final = (
    "Raise containerResourceReservation.memory, and pod.resources.limits.memory if it is set, or lower"
    " maxConcurrentRequestsPerContainer"
)
_RAISE_OTHER: Final = "Raise the limit in the webhook or the mesh that adds the container"


def ran_out_of_memory(container: str, ended: Json) -> bool:
    """Return True if the end of a container is for want of memory.

    The container runtime reports it. Of a scoring container the front does, too, if the kernel killed a
    worker process only.
    """
    by_front = container == CONTAINER and ended.get("exitCode") == OUT_OF_MEMORY
    return by_front or ended.get("reason") == _KILLED


def last_out_of_memory(pods: list[Json], now: dt.datetime) -> str | None:
    """Return a sentence on the last container that ran out of memory within the hour, None without one."""
    recent = [end for pod in pods for end in _ends(pod, now) if now - end.finished < REMEMBERED]
    if not recent:
        return None
    end = max(recent, key=lambda end: end.finished)
    return f"{describe_end(end.pod, end.container, end.state)} (at {end.finished:%H:%M:%S} UTC)"


class _End(NamedTuple):
    """The end of a container that ran out of memory."""

    finished: dt.datetime
    pod: Json
    container: str
    state: Json


def _ends(pod: Json, now: dt.datetime) -> Iterator[_End]:
    """Yield the ends of the present and of the last run of each container for want of memory.

    A mutating webhook may have added containers to a pod, for example those of a service mesh.
    """
    status = pod.get("status", {})
    for item in (*status.get("initContainerStatuses", ()), *status.get("containerStatuses", ())):
        for field in ("state", "lastState"):
            ended = item.get(field, {}).get("terminated")
            if ended and ran_out_of_memory(item["name"], ended):
                finished = ended.get("finishedAt")  # null if the kubelet has lost the container
                time = parse_timestamp(finished) if finished else now
                yield _End(time, pod, item["name"], ended)


def describe_end(pod: Json, container: str, ended: Json) -> str:
    """Return a sentence on a container that ran out of memory: its limit, its use and the way out."""
    resources = _resources(pod, container)
    reserved = resources.get("requests", {}).get("memory", "no memory")
    report = " ".join(str(ended.get("message") or "").split())[:_MAX_REPORT]
    detail = f" ({report})" if report else ""
    name = f"pod {pod['metadata']['name']}"
    subject = name if container == CONTAINER else f"container {container} of {name}"
    return (
        f"{subject} ran out of memory: {describe_limit(pod, container)}, and reserves {reserved}{detail}."
        f" {_RAISE_OWN if container == CONTAINER else _RAISE_OTHER}"
    )


def describe_limit(pod: Json, container: str) -> str:
    """Return the memory limit that a container has reached, as the second part of a sentence."""
    limit = _resources(pod, container).get("limits", {}).get("memory")
    return f"it reached its memory limit of {limit}" if limit else "the memory of its node was used up"


def _resources(pod: Json, container: str) -> Json:
    spec = pod.get("spec", {})
    containers = (*spec.get("initContainers", ()), *spec.get("containers", ()))
    return next((item.get("resources", {}) for item in containers if item["name"] == container), {})
