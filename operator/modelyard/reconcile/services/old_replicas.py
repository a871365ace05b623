"""Replicas of the version before: they answer for some seconds after the new ones have replaced them."""

from __future__ import annotations

import dataclasses
import datetime as dt
from typing import Final

from modelyard.api.revision import Revision
from modelyard.api.status import State, operation_end
from modelyard.reconcile.context import Context
from modelyard.reconcile.objects import CustomObject
from modelyard.reconcile.outcome import Outcome
from modelyard.reconcile.services.children import rollout_status
from modelyard.reconcile.services.rollout_outcome import was_rolled_out
from modelyard.reconcile.timestamps import parse_timestamp

_FRACTION: Final = 1  # seconds: timestamps of the Kubernetes API are cut to whole seconds


def until_old_replicas_stop(ctx: Context, obj: CustomObject, outcome: Outcome) -> Outcome:
    """Return the outcome, not ready while requests may reach replicas of the version before.

    A rollout is complete as soon as these replicas are told to stop. The proxy of a node may learn of that
    late, so they answer for `scoring.preStopSeconds` more. The operation of the new version has succeeded.
    """
    revision = outcome.revision
    if revision is None or outcome.state is not State.SUCCEEDED or not outcome.ready:
        return outcome
    left = _seconds_left(ctx, obj, revision)
    if left <= 0:
        return outcome
    message = f"{outcome.message}; replicas of the version before stop, and may still answer requests"
    return dataclasses.replace(outcome.requeue_within(left), message=message, ready=False)


def _seconds_left(ctx: Context, obj: CustomObject, revision: Revision) -> float:
    stopping, replaced = ctx.settings.scoring.pre_stop_seconds, rollout_status(ctx, obj).replaced_since
    if not stopping or not replaced:
        return 0.0
    ended = ctx.now()
    if was_rolled_out(obj, revision):
        ended = parse_timestamp(revision.ended or operation_end(obj.status) or revision.created)
    # The earlier time counts: a change of the number of replicas replaces none, and later pods of the same
    # version give the same answers. The clock of the Deployment controller may be fast, too.
    since = min(parse_timestamp(replaced), ended)
    return (since + dt.timedelta(seconds=stopping + _FRACTION) - ctx.now()).total_seconds()
