"""Pods of build Jobs: their log, their result, and the reason why a pod does not start."""

from __future__ import annotations

import asyncio
import logging
from typing import Final

from pydantic import ValidationError

from modelyard.api.conditions import find_condition
from modelyard.api.labels import JOB_NAME
from modelyard.contract.build_pod import CONTAINER, PACKAGES_CONTAINER
from modelyard.contract.build_request import BuildResult
from modelyard.kube.errors import KubeError
from modelyard.kube.types import EVENTS, JOBS, PODS, ApiResource, Json
from modelyard.reconcile.context import Context
from modelyard.reconcile.memory_diagnosis import ran_out_of_memory
from modelyard.reconcile.objects import LeavingPod
from modelyard.reconcile.pod_diagnosis import diagnose_pods
from modelyard.reconcile.timestamps import parse_timestamp

_LOG: Final = logging.getLogger(__name__)
# An API server waits 30 s for the kubelet of a lost node, and the client would repeat the request.
_LOG_SECONDS: Final = 10.0
_LOG_LINES: Final = "10000"  # the last lines of a log that are read
_MAX_NOTE_CHARACTERS: Final = 300  # of an event's note in the status


async def list_pods(ctx: Context, job: str) -> list[Json]:
    """Return the pods of a build Job, the oldest first."""
    pods = await ctx.client.list_all(PODS, ctx.settings.namespace, labelSelector=f"{JOB_NAME}={job}")
    return sorted(pods, key=lambda pod: pod["metadata"]["creationTimestamp"])


async def read_log(ctx: Context, pods: list[Json], lines: str = _LOG_LINES, **query: str) -> str:
    """Return the end of the newest pod's log, an empty string if there is none or it cannot be read."""
    return await read_log_of(ctx, pods[-1]["metadata"]["name"], lines, **query) if pods else ""


async def read_log_of(ctx: Context, name: str, lines: str, **query: str) -> str:
    """Return the last lines of a pod's log, an empty string if it cannot be read.

    `query` has further parameters of the request, such as `timestamps`.
    """
    try:
        async with asyncio.timeout(_LOG_SECONDS):
            return await ctx.client.log(
                ctx.settings.namespace, name, container=CONTAINER, tailLines=lines, **query
            )
    except TimeoutError:
        _LOG.warning("the log of build pod %s did not come within %.0f s", name, _LOG_SECONDS)
        return ""
    except KubeError as error:
        # The API server answers 400 while the container has not started.
        level = logging.DEBUG if error.status == 400 else logging.WARNING
        _LOG.log(level, "cannot read the log of build pod %s: %s", name, error)
        return ""


async def pending_reason(ctx: Context, job: str, pods: list[Json]) -> str:
    """Return the reason why a build does not start, as a sentence; an empty string if there is none."""
    if not pods:
        return await _newest_warning(ctx, JOBS, job)
    if pods[-1].get("status", {}).get("phase", "Pending") != "Pending":
        return ""
    if diagnosis := diagnose_pods(pods[-1:]):
        return _shorten(diagnosis.message)
    return await _newest_warning(ctx, PODS, pods[-1]["metadata"]["name"])


async def _newest_warning(ctx: Context, resource: ApiResource, name: str) -> str:
    """Return the note of the newest Warning event about an object.

    Admission that rejects a pod, and a volume that cannot be mounted, are reported by events only.
    """
    selector = f"type=Warning,regarding.kind={resource.kind},regarding.name={name}"
    events = await ctx.client.list_all(EVENTS, ctx.settings.namespace, fieldSelector=selector)
    newest = max(events, key=lambda event: event["metadata"]["creationTimestamp"], default=None)
    return _shorten(newest.get("note", "")) if newest else ""


def _shorten(note: str) -> str:
    return note if len(note) <= _MAX_NOTE_CHARACTERS else f"{note[:_MAX_NOTE_CHARACTERS]}…"


def find_result(pods: list[Json]) -> BuildResult | None:
    """Return the newest result that a builder wrote to its termination message, None if there is none."""
    for pod in reversed(pods):
        message = terminated(pod).get("message", "")
        try:
            return BuildResult.model_validate_json(message)
        except ValidationError:
            continue
    return None


def terminated(pod: Json) -> Json:
    """Return the state `terminated` of the builder's container, empty before its end."""
    state: Json = _container_state(pod).get("terminated", {})
    return state


def out_of_memory(pod: Json) -> str | None:
    """Return the container of a build that ran out of memory, by the kubelet's report; None if none did.

    A builder that lost its installer ends, too, so the installer of packages has priority.
    """
    for name in (PACKAGES_CONTAINER, CONTAINER):
        if ran_out_of_memory(name, _container_state(pod, name).get("terminated", {})):
            return name
    return None


def disruption_of(pod: Json) -> str | None:
    """Return the message of the condition DisruptionTarget, None if the pod does not have it.

    Preemption, a drain, a lost node and pressure on the node set it. A pod that exceeds the limit of an
    emptyDir does not get it:
    https://kubernetes.io/docs/concepts/workloads/pods/disruptions/#pod-disruption-conditions
    """
    condition = find_condition("DisruptionTarget", pod.get("status", {}))
    if condition and condition["status"] == "True":
        return condition.get("message") or condition.get("reason") or "DisruptionTarget"
    return None


def leaving_pod(pod: Json) -> LeavingPod | None:
    """Return a pod that is being deleted and that has not ended, else None.

    The deletionTimestamp of a pod is the time by which its kubelet kills the containers. The kubelet of a
    lost node never does, and the pod stays until the node is deleted or returns:
    https://kubernetes.io/docs/concepts/architecture/nodes/#condition
    """
    metadata, status = pod["metadata"], pod.get("status", {})
    deadline = metadata.get("deletionTimestamp")
    if deadline is None or terminated(pod) or status.get("phase") in {"Succeeded", "Failed"}:
        return None
    node = pod.get("spec", {}).get("nodeName", "")
    job = metadata["labels"][JOB_NAME]
    return LeavingPod(metadata["name"], job, node, parse_timestamp(deadline), disruption_of(pod) or "")


def is_running(pod: Json) -> bool:
    """Return True while the builder's container runs."""
    return "running" in _container_state(pod)


def _container_state(pod: Json, name: str = CONTAINER) -> Json:
    for container in pod.get("status", {}).get("containerStatuses", ()):
        if container["name"] == name:
            state: Json = container["state"]
            return state
    return {}
