"""Staged rolls of the present pod template: turns, recovery after a start, and the status of Services."""

from __future__ import annotations

import logging
from typing import Final

from modelyard.api.kinds import SERVICE
from modelyard.kube.types import DEPLOYMENTS, Key
from modelyard.reconcile.context import Context
from modelyard.reconcile.objects import CustomObject
from modelyard.reconcile.outcome import Condition, Outcome
from modelyard.reconcile.services.rollout_outcome import was_rolled_out

_LOG: Final = logging.getLogger(__name__)


def follows_operator(ctx: Context, obj: CustomObject) -> bool:
    """Return whether the pods of a Service get the present template without a new version."""
    if obj.roll_on_upgrade is not None:
        return obj.roll_on_upgrade
    return ctx.settings.scoring.roll_on_upgrade


def turn(ctx: Context, obj: CustomObject) -> int | None:
    """Return the number of the turn of a Service that waits to roll, None while it has no turn."""
    return ctx.template_rolls.turn(obj.key, _limit(ctx)) if follows_operator(ctx, obj) else None


def begin_roll(ctx: Context, key: Key) -> bool:
    """Begin the roll of a Service, or let it wait; return whether it begins."""
    _recover(ctx)
    return ctx.template_rolls.begin(key, _limit(ctx))


def follow_roll(ctx: Context, obj: CustomObject, outcome: Outcome, *, rolling: bool) -> None:
    """Record the progress of a Service's roll, and queue the Services whose turn or status changes.

    A roll is complete when the Service is Ready. It ends, too, if a version of the user takes its place.
    """
    rolls = ctx.template_rolls
    if not follows_operator(ctx, obj):
        end_roll(ctx, obj.key)
    if not rolls.is_rolling(obj.key):
        return
    if outcome.stalled:
        if waiting := rolls.fail(obj.key, outcome.message):
            count, reason = len(waiting), outcome.message
            _LOG.warning("%s: %s; %d Services keep their pods until it is Ready", obj.key, reason, count)
            _queue(ctx, waiting)
    elif not rolling and outcome.ready:
        end_roll(ctx, obj.key)


def roll_conditions(ctx: Context, obj: CustomObject) -> dict[str, Condition]:
    """Return the condition of a Service that waits to get the present template, by type."""
    rolls = ctx.template_rolls
    if not rolls.is_waiting(obj.key):
        return {}
    if not rolls.failure:
        message = f"waiting for its turn: at most {_limit(ctx)} Services get the present pod template at once"
        return {"RollPending": (True, "WaitingForTurn", message)}
    failed, reason = rolls.failure
    cause = f"Service {failed.name} failed: {reason}"
    if failed.namespace != obj.key.namespace:
        cause = "a Service of another namespace failed"  # its name and logs are not for users of this one
    return {"RollPending": (True, "RollsStopped", f"no further roll of the present pod template: {cause}")}


def _recover(ctx: Context) -> None:
    """Find the rolls that an earlier process began: Services that roll although their version did before."""
    rolls = ctx.template_rolls
    if rolls.recovered:
        return
    rolls.recovered = True
    keys = ctx.cache.objects.keys()
    for key in keys:
        obj, revision = ctx.cache.objects.get(key), ctx.cache.revisions.newest(key)
        child = ctx.cache.children.get(DEPLOYMENTS, key.namespace, key.name)
        if key.kind != SERVICE.name or obj is None or revision is None or child is None:
            continue
        if child.rollout.rolling and follows_operator(ctx, obj) and was_rolled_out(obj, revision):
            stalled = obj.condition("Stalled")
            rolls.recover(key, stalled["message"] if stalled and stalled["status"] == "True" else None)


def end_roll(ctx: Context, key: Key) -> None:
    """End the roll or the wait of a Service, and queue the Services whose turn it may be."""
    _queue(ctx, ctx.template_rolls.end(key, _limit(ctx)))


def _queue(ctx: Context, keys: list[Key]) -> None:
    for key in keys:
        ctx.queue.add(key)


def _limit(ctx: Context) -> int:
    return ctx.settings.scoring.concurrent_rolls
