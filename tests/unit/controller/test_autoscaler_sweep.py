"""Sweep of all autoscalers: their figures and conditions come into the status of Services."""

from __future__ import annotations

from tests.unit.fake_api_server import Call
from tests.unit.operator_harness import OperatorHarness

from modelyard.kube.errors import Unavailable
from modelyard.kube.types import AUTOSCALERS, Json


def measure(harness: OperatorHarness, milli: int, *conditions: Json) -> None:
    """Write the status of the autoscaler as its controller does."""
    status = {
        "currentMetrics": [{"type": "Pods", "pods": {"current": {"averageValue": f"{milli}m"}}}],
        "conditions": [*conditions],
    }
    harness.cluster.change(AUTOSCALERS, "default", "m", {"status": status}, "status")


def condition(type_: str, status: str, reason: str, message: str = "") -> Json:
    return {
        "type": type_, "status": status, "reason": reason, "message": message,
        "lastTransitionTime": "2025-01-01T00:00:00Z",
    }  # fmt: skip


def types(harness: OperatorHarness) -> set[str]:
    return {item["type"] for item in harness.status("Service")["conditions"]}


async def test_load_comes_into_the_status(swept: OperatorHarness) -> None:
    measure(swept, 640)
    await swept.play(seconds=25)
    assert swept.status("Service")["utilization"] == 60


async def test_steady_load_writes_nothing(swept: OperatorHarness) -> None:
    measure(swept, 640)
    await swept.play(seconds=25)
    before = len(swept.cluster.writes)
    for milli in (655, 645, 690, 610) * 5:
        measure(swept, milli)
        await swept.play(seconds=20)
    assert len(swept.cluster.writes) == before


async def test_conditions_tell_the_maximum_and_the_missing_metric(swept: OperatorHarness) -> None:
    measure(swept, 2000, condition("ScalingLimited", "True", "TooManyReplicas"))
    await swept.play(seconds=25)
    assert "maxReplicas 10" in swept.condition("Service", "AtMaximum")["message"]
    measure(swept, 2000, condition("ScalingActive", "False", "FailedGetPodsMetric", "no metrics returned"))
    await swept.play(seconds=25)
    missing = swept.condition("Service", "MetricMissing")
    assert (missing["reason"], missing["message"]) == ("NoFigures", "no metrics returned")
    measure(swept, 700)
    await swept.play(seconds=25)
    assert not {"AtMaximum", "MetricMissing"} & types(swept)
    assert swept.summary("Service") == ("m:1", "Succeeded", "Serving")


async def test_status_stays_until_the_first_sweep_after_a_start(swept: OperatorHarness) -> None:
    measure(swept, 2000, condition("ScalingLimited", "True", "TooManyReplicas"))
    await swept.play(seconds=25)
    before = len(swept.cluster.writes)
    await swept.stop()
    await swept.start()
    await swept.play(seconds=5)
    assert swept.status("Service")["utilization"] == 200
    assert "AtMaximum" in types(swept)
    await swept.play(seconds=60)
    assert len(swept.cluster.writes) == before


async def test_fixed_number_of_replicas_has_no_load(swept: OperatorHarness) -> None:
    measure(swept, 640)
    await swept.play(seconds=25)
    swept.change("Service", autoScaler=None, numReplicas=2)
    await swept.play(seconds=25)
    assert "utilization" not in swept.status("Service")


async def test_sweep_goes_on_after_an_error(swept: OperatorHarness) -> None:
    def refuse(number: int, call: Call) -> None:
        if call.verb == "list" and call.resource == AUTOSCALERS.plural:
            raise Unavailable("no answer", status=503)

    swept.cluster.fault = refuse
    measure(swept, 640)
    await swept.play(seconds=25)
    assert "utilization" not in swept.status("Service")
    swept.cluster.fault = lambda number, call: None
    await swept.play(seconds=25)
    assert swept.status("Service")["utilization"] == 60


async def test_platform_without_the_metric_is_told(swept: OperatorHarness) -> None:
    await swept.stop()
    scoring = swept.settings.scoring.model_copy(update={"has_requests_metric": False})
    swept.settings = swept.settings.model_copy(update={"scoring": scoring})
    await swept.start()
    await swept.play(seconds=5)
    assert swept.condition("Service", "MetricMissing")["reason"] == "NotServed"
    (metric,) = swept.cluster.at(AUTOSCALERS, "m")["spec"]["metrics"]
    assert metric["containerResource"]["name"] == "cpu"
    swept.change("Service", autoScaler={"utilizationMetric": "CPU"})
    await swept.play(seconds=60)
    assert "MetricMissing" not in types(swept)
