"""Effect of the route of a Service on its outcome: Ready includes the public URL."""

from __future__ import annotations

import dataclasses
import datetime as dt
from typing import Final

from modelyard.api.status import State
from modelyard.reconcile.context import Context
from modelyard.reconcile.objects import CustomObject
from modelyard.reconcile.outcome import Outcome
from modelyard.reconcile.services.rollout_outcome import is_serving, was_rolled_out
from modelyard.reconcile.services.route_report import PENDING, ROUTE_READY, RouteReport
from modelyard.reconcile.services.served_image import IMAGE_NOT_READY
from modelyard.reconcile.timestamps import parse_timestamp

NOT_READY: Final = "RouteNotReady"
"""Reason of Ready while RouteReady is not True."""

# A data plane programs a route within a second, while the pods start. A version whose route takes longer has
# ended its rollout, so that a Gateway that is missing does not keep its operation running.
_ROUTE_WAIT: Final = dt.timedelta(seconds=60)


def until_first_serving(obj: CustomObject, outcome: Outcome, report: RouteReport) -> RouteReport:
    """Return the report of a Service whose first version rolls out: its URL comes with the end of the roll.

    The address answers with an error until then. One status write less for each new Service.
    """
    is_rolling = outcome.state is State.RUNNING and outcome.reason != IMAGE_NOT_READY
    had_route = obj.has_condition(ROUTE_READY)
    if not is_rolling or had_route or not (report.url or report.is_pending):
        return report
    return RouteReport(condition=(False, PENDING, "reported once the first version is rolled out"))


def until_route_serves(ctx: Context, obj: CustomObject, outcome: Outcome, report: RouteReport) -> Outcome:
    """Return the outcome of a new version whose replicas serve: Running until the data plane reports.

    A client that reads the scoring URI at the end of the operation gets the public one. The operation ends
    at most 60 s after the version was recorded.
    """
    revision = outcome.revision
    if revision is None or not is_serving(outcome) or was_rolled_out(obj, revision):
        return outcome
    left = _ROUTE_WAIT - (ctx.now() - parse_timestamp(revision.created))
    if report.condition is None or not report.is_pending or left <= dt.timedelta():
        return outcome
    message = f"{revision.id}: {report.condition[2]}"
    return Outcome(State.RUNNING, NOT_READY, message, revision, requeue_after=left.total_seconds())


def with_route(outcome: Outcome, report: RouteReport) -> Outcome:
    """Return the outcome of a Service, not ready while its public address does not serve."""
    outcome = outcome.requeue_within(report.requeue_after)
    if not report.is_missing or outcome.state is not State.SUCCEEDED:
        return outcome
    if not outcome.ready or outcome.stalled or report.condition is None:
        return outcome
    message = f"{outcome.message}; no public address: {report.condition[2]}"
    return dataclasses.replace(
        outcome, ready=False, reason=NOT_READY, message=message, stalled=report.needs_user
    )
