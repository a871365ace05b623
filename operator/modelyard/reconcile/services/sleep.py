"""Services without a replica because no request comes, and the start of their first replica."""

from __future__ import annotations

from enum import Enum
from typing import Final

from modelyard.api.service import ServiceSpec
from modelyard.reconcile.context import Context
from modelyard.reconcile.objects import CustomObject, RolloutStatus
from modelyard.reconcile.outcome import Condition
from modelyard.reconcile.timestamps import parse_timestamp
from modelyard.settings import ScoringSettings

SCALED_TO_ZERO: Final = "ScaledToZero"
WAKING: Final = "Waking"


class Sleep(Enum):
    """The state of a Service between 0 and 1 replicas."""

    AWAKE = "awake"
    ASLEEP = "asleep"
    WAKING = "waking"
    OVERDUE = "overdue"  # waking for longer than the activator holds a request


def may_sleep(spec: ServiceSpec, scoring: ScoringSettings) -> bool:
    """Return whether a Service may have no replica: by its spec, and by an activator of the platform."""
    return spec.may_sleep and scoring.scales_to_zero


def sleep_of(ctx: Context, obj: CustomObject, spec: ServiceSpec, rollout: RolloutStatus) -> Sleep:
    """Return the state of a Service between 0 and 1 replicas."""
    if not may_sleep(spec, ctx.settings.scoring) or not rollout.observed or rollout.available:
        return Sleep.AWAKE
    if rollout.desired == 0:
        return Sleep.ASLEEP
    return Sleep.WAKING if seconds_to_wake(ctx, obj) > 0 else Sleep.OVERDUE


def seconds_to_wake(ctx: Context, obj: CustomObject) -> float:
    """Return the seconds that a first replica still has, from the time of the condition Waking."""
    limit = ctx.settings.scoring.wake_seconds
    waking = obj.condition(WAKING)
    if waking is None:
        return limit
    if waking["status"] != "True":
        return 0.0
    return limit - (ctx.now() - parse_timestamp(waking["lastTransitionTime"])).total_seconds()


def sleep_conditions(spec: ServiceSpec, scoring: ScoringSettings, sleep: Sleep) -> dict[str, Condition]:
    """Return the conditions of a Service with minReplicas 0, by type, also Available without a replica."""
    if not spec.may_sleep:
        return {}
    if not scoring.scales_to_zero:
        message = "minReplicas 0 acts as 1: the chart does not set scaling.enabled and scaling.zero.enabled"
        return {"ScalesToZero": (False, "NotOffered", message)}
    if sleep is Sleep.ASLEEP:
        message = "no replica runs, since no request comes: the first request starts one"
        return {
            SCALED_TO_ZERO: (True, "Idle", message),
            "Available": (True, SCALED_TO_ZERO, "the first request starts a replica, and is held until then"),
        }
    awake: dict[str, Condition] = {SCALED_TO_ZERO: (False, "Active", "the Service has replicas")}
    if sleep is Sleep.WAKING:
        message = "the first replica starts: requests are held until it is ready"
        awake |= {WAKING: (True, "ReplicaStarting", message), "Available": (True, WAKING, message)}
    if sleep is Sleep.OVERDUE:
        message = f"the first replica is not ready after {scoring.wake_seconds:g} s: Ready has the cause"
        awake[WAKING] = (False, "Overdue", message)
    return awake
