"""Status fields and conditions of a Service by its autoscaler."""

from __future__ import annotations

from typing import Any, Final, NamedTuple

from modelyard.api.service import ServiceSpec
from modelyard.reconcile.context import Context
from modelyard.reconcile.objects import CustomObject, RolloutStatus
from modelyard.reconcile.outcome import Condition

AT_MAXIMUM: Final = "AtMaximum"
METRIC_MISSING: Final = "MetricMissing"


class AutoscalerStatus(NamedTuple):
    """The part of the status of a Service that its autoscaler determines."""

    fields: dict[str, Any]
    conditions: dict[str, Condition]


def autoscaler_status(
    ctx: Context, obj: CustomObject, spec: ServiceSpec, rollout: RolloutStatus
) -> AutoscalerStatus:
    """Return the load, and the conditions AtMaximum and MetricMissing.

    Until the first sweep after a start of the operator, they are those of the cached status.
    """
    if not spec.autoscales:
        ctx.autoscaler_reports.forget(obj.key)
        return AutoscalerStatus({"utilization": None}, {})
    conditions: dict[str, Condition] = {}
    if spec.scales_on_requests and not ctx.settings.scoring.has_requests_metric:
        conditions[METRIC_MISSING] = (
            True,
            "NotServed",
            "the autoscaler uses CPU, since the platform serves no metric of requests: set"
            " autoScaler.utilizationMetric to CPU, or ask the platform for scaling.metrics of the chart",
        )
    report = ctx.autoscaler_reports.get(obj.key)
    if report is None:
        return AutoscalerStatus({"utilization": obj.status.get("utilization")}, _reported(obj) | conditions)
    if report.is_at_maximum:
        conditions[AT_MAXIMUM] = (
            True,
            "TooManyReplicas",
            f"the load needs more than autoScaler.maxReplicas {spec.scaling.effective_max}: raise this field",
        )
    if report.missing and rollout.ready:  # without a replica there can be no figure
        conditions.setdefault(METRIC_MISSING, (True, "NoFigures", report.missing))
    return AutoscalerStatus({"utilization": report.utilization}, conditions)


def _reported(obj: CustomObject) -> dict[str, Condition]:
    """Return the conditions of the cached status, by type."""
    found = ((type_, obj.condition(type_)) for type_ in (AT_MAXIMUM, METRIC_MISSING))
    return {type_: (True, one["reason"], one["message"]) for type_, one in found if one}
