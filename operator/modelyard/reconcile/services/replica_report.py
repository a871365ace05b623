"""Conditions of a Service by the status of its pods: replicas that ran out of memory, unhealthy devices."""

from __future__ import annotations

import datetime as dt
from typing import Final

from modelyard.api import labels
from modelyard.api.revision import Revision
from modelyard.api.status import operation_end
from modelyard.kube.types import PODS
from modelyard.reconcile.context import Context
from modelyard.reconcile.device_diagnosis import describe_unhealthy
from modelyard.reconcile.memory_diagnosis import REMEMBERED, last_out_of_memory
from modelyard.reconcile.objects import CustomObject, RolloutStatus
from modelyard.reconcile.outcome import Condition
from modelyard.reconcile.services.rollout_outcome import was_rolled_out
from modelyard.reconcile.timestamps import parse_timestamp

OUT_OF_MEMORY: Final = "OutOfMemory"
DEVICE_UNHEALTHY: Final = "DeviceUnhealthy"
_TYPES: Final = (OUT_OF_MEMORY, DEVICE_UNHEALTHY)
_RECENT: Final = dt.timedelta(minutes=1)


async def replica_conditions(
    ctx: Context, obj: CustomObject, revision: Revision, rollout: RolloutStatus
) -> dict[str, Condition]:
    """Return the conditions that the status of the pods of a Service shows, by type.

    The kubelet restarts a replica that ran out of memory within seconds. So the condition stays for an hour.
    Pods are read only while a replica is missing, in the minute after that, and when the hour is over. They
    are also read after the sweep of all pods has found a change. A version begins without the conditions of
    the one before it.
    """
    has_status = obj.status.get("version") == revision.version
    reported = _reported(obj) if has_status else {}
    is_over = OUT_OF_MEMORY in reported and _is_over(ctx, obj)
    serves = has_status and was_rolled_out(obj, revision)
    misses = rollout.ready < rollout.desired or _was_interrupted(ctx, obj, rollout)
    if not (is_over or obj.key in ctx.pod_reports.unread or (serves and misses)):
        return reported
    selector = labels.text_of(labels.selector_of(obj.key.name))
    pods = await ctx.client.list_all(PODS, obj.key.namespace, labelSelector=selector)
    ctx.pod_reports.unread.discard(obj.key)
    # The pod of the last report may be deleted already, or may have ended again for another reason.
    memory = None if is_over else reported.get(OUT_OF_MEMORY)
    message = last_out_of_memory(pods, ctx.now())
    is_new = message and (memory is None or message != memory[2])
    if message and is_new and (ctx.pod_reports.begin(obj.key, ctx.now()) or memory is None):
        memory = (True, "OOMKilled", message)
    unhealthy = describe_unhealthy(pods)
    return ({OUT_OF_MEMORY: memory} if memory else {}) | (
        {DEVICE_UNHEALTHY: (True, "Unhealthy", unhealthy)} if unhealthy else {}
    )


def _reported(obj: CustomObject) -> dict[str, Condition]:
    """Return the conditions of the cached status, by type."""
    found = ((type_, obj.condition(type_)) for type_ in _TYPES)
    return {
        type_: (True, condition["reason"], condition["message"]) for type_, condition in found if condition
    }


def _is_over(ctx: Context, obj: CustomObject) -> bool:
    """Return True if the first report of a replica that ran out of memory is an hour old."""
    condition = obj.condition(OUT_OF_MEMORY)
    return condition is not None and _age(ctx, condition["lastTransitionTime"]) >= REMEMBERED


def _was_interrupted(ctx: Context, obj: CustomObject, rollout: RolloutStatus) -> bool:
    """Return whether a replica was missing in the last minute, after the rollout of the version.

    The Deployment allows no missing replica, so its condition Available has changed then.
    """
    since, ended = rollout.available_since, operation_end(obj.status)
    return bool(since and ended and since > ended and _age(ctx, since) < _RECENT)


def _age(ctx: Context, since: str) -> dt.timedelta:
    return ctx.now() - parse_timestamp(since)
