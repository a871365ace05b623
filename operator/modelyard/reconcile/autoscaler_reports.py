"""The state of the autoscalers of Services, as far as the status of a Service has it.

The HorizontalPodAutoscaler controller writes each measurement, every 15 s. A status that followed each of
them would be written all the time. So the load is in steps of 10 %, and changes once in a minute at most.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

from modelyard.api.conditions import find_condition
from modelyard.kube.quantity import parse_quantity
from modelyard.kube.types import Json, Key
from modelyard.reconcile.timestamps import parse_timestamp

LOAD_STEP: Final = 10  # percent
LOAD_PAUSE: Final = dt.timedelta(minutes=1)
MISSING_AFTER: Final = dt.timedelta(minutes=1)
"""A new Service has no figures in its first seconds: the metric is missing only after this time."""
_MESSAGE_CHARACTERS: Final = 500
_LONG_AGO: Final = dt.datetime.min.replace(tzinfo=dt.UTC)


class AutoscalerReport(NamedTuple):
    """The state of one autoscaler."""

    utilization: int | None = None
    """Mean of the replicas in percent, in steps of 10; None without a figure."""
    is_at_maximum: bool = False
    """The load asks for more replicas than maxReplicas."""
    missing: str = ""
    """Reason for the absence of the metric; empty with a metric."""


class _Known(NamedTuple):
    report: AutoscalerReport
    load_at: dt.datetime
    """Time of the last change of the utilisation."""


@dataclass
class AutoscalerReports:
    """The latest report of each autoscaled Service."""

    _known: dict[Key, _Known] = field(default_factory=dict)

    def get(self, key: Key) -> AutoscalerReport | None:
        """Return the report of a Service, None before the first one."""
        known = self._known.get(key)
        return known.report if known else None

    def take(self, key: Key, status: Json, reported: int | None, now: dt.datetime) -> bool:
        """Take the status of an autoscaler. Return whether the status of the Service changes by it.

        `reported` is the utilisation in the status of the Service: after a start of the operator, it is the
        one to compare with.
        """
        before = self._known.get(key) or _Known(AutoscalerReport(reported), _LONG_AGO)
        utilization = _stepped(measured_percent(status), before.report.utilization)
        load_at = before.load_at
        if utilization != before.report.utilization:
            if now - load_at < LOAD_PAUSE:
                utilization = before.report.utilization
            else:
                load_at = now
        missing = _missing(status, now)
        if before.report.missing and missing:
            missing = before.report.missing  # the message may change each time
        report = AutoscalerReport(utilization, _is_at_maximum(status), missing)
        is_new = key not in self._known
        self._known[key] = _Known(report, load_at)
        return is_new or report != before.report

    def forget(self, key: Key) -> None:
        """Remove a Service that was deleted, or has no autoscaler any more."""
        self._known.pop(key, None)


def measured_percent(status: Mapping[str, Any]) -> int | None:
    """Return the utilisation in the status of a HorizontalPodAutoscaler, None without a figure."""
    for metric in status.get("currentMetrics") or ():
        current = (metric.get("pods") or metric.get("containerResource") or {}).get("current") or {}
        if "averageUtilization" in current:
            return int(current["averageUtilization"])
        value = parse_quantity(current.get("averageValue", ""))
        if value is not None:
            return round(value * 100)
    return None


def _stepped(percent: int | None, before: int | None) -> int | None:
    """Return a figure in steps. A figure that moves by less than a step around the old one is the old one."""
    if percent is None:
        return None
    if before is not None and abs(percent - before) < LOAD_STEP:
        return before
    return round(percent / LOAD_STEP) * LOAD_STEP


def _is_at_maximum(status: Mapping[str, Any]) -> bool:
    limited = find_condition("ScalingLimited", status) or {}
    return limited.get("status") == "True" and limited.get("reason") == "TooManyReplicas"


def _missing(status: Mapping[str, Any], now: dt.datetime) -> str:
    active = find_condition("ScalingActive", status) or {}
    if active.get("status") != "False" or active.get("reason") == "ScalingDisabled":
        return ""
    if now - parse_timestamp(active["lastTransitionTime"]) < MISSING_AFTER:
        return ""
    return str(active.get("message", ""))[:_MESSAGE_CHARACTERS]
