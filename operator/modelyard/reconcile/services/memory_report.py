"""Condition of a Service whose replicas run out of memory."""

from __future__ import annotations

import datetime as dt
from typing import Final

from modelyard.api import labels
from modelyard.api.revision import Revision
from modelyard.api.status import operation_end
from modelyard.kube.types import PODS
from modelyard.reconcile.context import Context
from modelyard.reconcile.memory_diagnosis import REMEMBERED, last_out_of_memory
from modelyard.reconcile.objects import CustomObject, RolloutStatus
from modelyard.reconcile.outcome import Condition
from modelyard.reconcile.services.rollout_outcome import was_rolled_out
from modelyard.reconcile.timestamps import parse_timestamp

_RECENT: Final = dt.timedelta(minutes=1)
OUT_OF_MEMORY: Final = "OutOfMemory"


async def memory_conditions(
    ctx: Context, obj: CustomObject, revision: Revision, rollout: RolloutStatus
) -> dict[str, Condition]:
    """Return the condition of a Service with a replica that ran out of memory within the last hour, by type.

    The kubelet restarts such a replica within seconds. So the condition stays, and pods are read only while
    a replica is missing, in the minute after that, or when the hour is over. A rollout has a diagnosis of
    its own.
    """
    if not was_rolled_out(obj, revision) or obj.status.get("version") != revision.version:
        return {}
    reported = obj.condition(OUT_OF_MEMORY)
    if rollout.ready >= rollout.desired and not _was_interrupted(ctx, obj, rollout):
        if reported is None:
            return {}
        if _age(ctx, reported["lastTransitionTime"]) < REMEMBERED:
            return {OUT_OF_MEMORY: (True, reported["reason"], reported["message"])}
    selector = labels.text_of(labels.selector_of(obj.key.name))
    pods = await ctx.client.list_all(PODS, obj.key.namespace, labelSelector=selector)
    message = last_out_of_memory(pods, ctx.now())
    return {OUT_OF_MEMORY: (True, "OOMKilled", message)} if message else {}


def _was_interrupted(ctx: Context, obj: CustomObject, rollout: RolloutStatus) -> bool:
    """Return whether a replica was missing in the last minute, after the rollout of the version.

    The Deployment allows no missing replica, so its condition Available has changed then.
    """
    since, ended = rollout.available_since, operation_end(obj.status)
    return bool(since and ended and since > ended and _age(ctx, since) < _RECENT)


def _age(ctx: Context, since: str) -> dt.timedelta:
    return ctx.now() - parse_timestamp(since)
