"""Events about conditions of a Service that change: those that Ready does not tell."""

from __future__ import annotations

from modelyard.api.conditions import find_condition, is_true, value_of
from modelyard.kube.types import Json
from modelyard.reconcile.context import Context
from modelyard.reconcile.objects import CustomObject
from modelyard.reconcile.services.collection_condition import DATA_COLLECTION
from modelyard.reconcile.services.sleep import SCALED_TO_ZERO, WAKING


async def record_condition_changes(ctx: Context, obj: CustomObject, before: Json, after: Json) -> None:
    """Record the events of a status that was written, `after` in place of `before`."""
    await _record_collection(ctx, obj, before, after)
    await _record_sleep(ctx, obj, before, after)


async def _record_collection(ctx: Context, obj: CustomObject, before: Json, after: Json) -> None:
    """Record an event if data collection begins to fail, fails for another reason, or works again."""
    old, new = find_condition(DATA_COLLECTION, before), find_condition(DATA_COLLECTION, after)
    if new is None or value_of(new) is None:
        return
    works = value_of(new) is True
    if works if old is None else (old["status"], old["reason"]) == (new["status"], new["reason"]):
        return
    if works and old and value_of(old) is None:
        return  # a start is no change
    await ctx.recorder.record(obj, f"{DATA_COLLECTION}{new['reason']}", new["message"], warning=not works)


async def _record_sleep(ctx: Context, obj: CustomObject, before: Json, after: Json) -> None:
    """Record an event if a Service goes to 0 replicas or comes back."""
    new = find_condition(SCALED_TO_ZERO, after)
    if new is None or is_true(SCALED_TO_ZERO, after) == is_true(SCALED_TO_ZERO, before):
        return
    reason = SCALED_TO_ZERO if is_true(SCALED_TO_ZERO, after) else WAKING
    await ctx.recorder.record(obj, reason, new["message"])
