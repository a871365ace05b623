"""The rule for prometheus-adapter in docs/scaling.md: its series are those of a replica."""

from __future__ import annotations

import re
from typing import Any

import pytest
from tests.support.prometheus_adapter import documented_rule

from modelyard.contract.custom_metrics import METRIC
from modelyard.replica_client.load import Load
from modelyard.scoring.front.metrics import Metrics


@pytest.fixture(scope="module")
def rule() -> dict[str, Any]:
    return documented_rule()


def test_rule_gives_the_metric_of_the_autoscalers(rule: dict[str, Any]) -> None:
    assert rule["name"]["as"] == METRIC
    assert rule["resources"]["overrides"] == {
        "namespace": {"resource": "namespace"},
        "pod": {"resource": "pod"},
    }


def test_query_has_the_value_of_the_scaler(rule: dict[str, Any]) -> None:
    """Compute the query with the gauges of a replica, and compare it with the load of the same replica."""
    text = Metrics().text(sent=5, waiting=2, concurrency=4, restarts=0, ready=True)
    gauges = dict(re.findall(r"^(modelyard_scoring_\w+) (\S+)$", text, re.MULTILINE))
    query: str = rule["metricsQuery"]
    for name in re.findall(r"modelyard_scoring_\w+", query + rule["seriesQuery"]):
        assert name in gauges
    formula = re.sub(r"sum by \(<<\.GroupBy>>\) |avg_over_time|{<<\.LabelMatchers>>}|\[1m\]", "", query)
    formula = re.sub(r"modelyard_scoring_\w+", lambda match: gauges[match[0]], formula)
    assert re.fullmatch(r"[0-9.()/+\s]+", formula), formula
    load = Load(running=4, waiting=3, places=4, requests=0, ready=True)
    assert eval(formula) == load.utilization
