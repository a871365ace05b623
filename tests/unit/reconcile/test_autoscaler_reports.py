"""The report of an autoscaler: few changes, however often its figures change."""

from __future__ import annotations

import datetime as dt

import pytest

from modelyard.kube.types import Json, Key
from modelyard.reconcile.autoscaler_reports import AutoscalerReport, AutoscalerReports, measured_percent

KEY = Key("Service", "default", "m")
NOW = dt.datetime(2026, 11, 30, 12, tzinfo=dt.UTC)


def status(milli: int | None, **conditions: str) -> Json:
    """Return the status of an autoscaler, with the reasons of its conditions; `-` before one means False."""
    metric = {"type": "Pods", "pods": {"current": {"averageValue": f"{milli}m"}}}
    return {
        "currentMetrics": [{"type": ""}] if milli is None else [metric],
        "conditions": [
            {
                "type": type_,
                "status": str(not reason.startswith("-")),
                "reason": reason.lstrip("-"),
                "message": f"message of {reason.lstrip('-')}",
                "lastTransitionTime": "2026-11-30T11:59:30Z",
            }
            for type_, reason in conditions.items()
        ],
    }


class Reports:
    """Reports of one Service whose autoscaler is read every 20 s."""

    def __init__(self, reported: int | None = None) -> None:
        self.reports = AutoscalerReports()
        self.reported = reported
        self.now = NOW

    def take(self, body: Json, seconds: int = 20) -> bool:
        self.now += dt.timedelta(seconds=seconds)
        return self.reports.take(KEY, body, self.reported, self.now)

    @property
    def report(self) -> AutoscalerReport:
        found = self.reports.get(KEY)
        assert found
        return found


def test_load_is_in_steps_and_changes_once_in_a_minute() -> None:
    reports = Reports()
    seen = []
    for milli in (640, 1500, 1500, 1500, 1540, 1460, 1540, 1460):
        reports.take(status(milli))
        seen.append(reports.report.utilization)
    assert seen == [60, 60, 60, 150, 150, 150, 150, 150]


@pytest.mark.parametrize("milli", [646, 655, 666, 694])
def test_steady_load_changes_nothing(milli: int) -> None:
    reports = Reports()
    assert reports.take(status(650))
    for number in range(30):
        assert not reports.take(status(milli if number % 2 else 601))
    assert reports.report.utilization == 60


def test_status_before_a_start_of_the_operator_counts() -> None:
    reports = Reports(reported=70)
    assert reports.take(status(640))  # the first report is always one
    assert reports.report.utilization == 70


def test_figure_that_is_lost_is_no_figure() -> None:
    reports = Reports()
    reports.take(status(640))
    assert reports.take(status(None), 60)
    assert reports.report.utilization is None


def test_load_beyond_the_maximum_is_reported() -> None:
    reports = Reports()
    reports.take(status(2000, ScalingLimited="TooManyReplicas"))
    assert reports.report.is_at_maximum
    assert reports.take(status(2000, ScalingLimited="-DesiredWithinRange"))
    assert not reports.report.is_at_maximum
    reports.take(status(0, ScalingLimited="TooFewReplicas"))
    assert not reports.report.is_at_maximum


def test_metric_is_missing_after_a_minute() -> None:
    reports = Reports()
    reports.take(status(None, ScalingActive="-FailedGetPodsMetric"))
    assert reports.report.missing == ""
    reports.take(status(None, ScalingActive="-FailedGetPodsMetric"))
    assert reports.report.missing == "message of FailedGetPodsMetric"
    assert not reports.take(status(None, ScalingActive="-InvalidMetricSourceType"))
    assert reports.take(status(None, ScalingActive="ValidMetricFound"))
    assert reports.report.missing == ""


def test_autoscaler_that_waits_at_zero_replicas_misses_no_metric() -> None:
    reports = Reports()
    reports.take(status(None, ScalingActive="-ScalingDisabled"), 3600)
    assert reports.report.missing == ""


@pytest.mark.parametrize(
    ("metric", "percent"),
    [
        ({"containerResource": {"current": {"averageUtilization": 55, "averageValue": "27m"}}}, 55),
        ({"pods": {"current": {"averageValue": "1"}}}, 100),
        ({"pods": {"current": {}}}, None),
        ({}, None),
    ],
)
def test_percent_is_that_of_the_metric(metric: Json, percent: int | None) -> None:
    assert measured_percent({"currentMetrics": [metric]}) == percent
    assert measured_percent({"currentMetrics": None}) is None


def test_deleted_service_is_forgotten() -> None:
    reports = Reports()
    reports.take(status(640))
    reports.reports.forget(KEY)
    assert reports.reports.get(KEY) is None
