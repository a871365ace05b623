"""Metrics of the operator's state, as Prometheus reads them."""

from __future__ import annotations

from importlib.metadata import version

from prometheus_client import REGISTRY, CollectorRegistry
from tests.unit.operator_harness import OperatorHarness, model

from modelyard.controller.state_metrics import StateMetrics
from modelyard.kube.types import DEPLOYMENTS, HTTP_ROUTES, Key
from modelyard.reconcile.builds.failure_table import TABLE

LATER = Key("Model", "default", "later")


def registry(harness: OperatorHarness) -> CollectorRegistry:
    registry = CollectorRegistry()
    registry.register(StateMetrics(harness.ctx, harness.controller))
    return registry


async def test_objects_are_counted_by_kind_and_state(serving: OperatorHarness) -> None:
    serving.apply(model("bad", url="no://url"))
    await serving.play()
    value = registry(serving).get_sample_value
    assert value("modelyard_objects", {"kind": "Service", "state": "Succeeded"}) == 1
    assert value("modelyard_objects", {"kind": "Model", "state": "Succeeded"}) == 1
    assert value("modelyard_objects", {"kind": "Model", "state": "Failed"}) == 1
    assert value("modelyard_objects", {"kind": "Image", "state": "Cancelled"}) == 0


async def test_depth_and_age_of_the_queue_grow_while_no_worker_is_free(harness: OperatorHarness) -> None:
    await harness.controller.stop()
    value = registry(harness).get_sample_value
    assert value("modelyard_queue_depth") == value("modelyard_queue_oldest_seconds") == 0
    harness.queue.add(Key("Model", "default", "first"))
    harness.clock.move(40)
    harness.queue.add(LATER)
    assert (value("modelyard_queue_depth"), value("modelyard_queue_oldest_seconds")) == (2, 40)


async def test_silence_of_each_watch_is_measured(harness: OperatorHarness) -> None:
    labels = {"resource": "deployments.apps"}
    assert registry(harness).get_sample_value("modelyard_watch_silence_seconds", labels) is not None


async def test_failed_object_is_named_with_its_code(serving: OperatorHarness) -> None:
    serving.apply(model("bad", url="no://url"))
    await serving.play()
    (sample,) = [
        sample
        for family in registry(serving).collect()
        if family.name == "modelyard_object_failed"
        for sample in family.samples
    ]
    code = serving.status("Model", "bad")["error"]["code"]
    assert sample.labels == {"kind": "Model", "namespace": "default", "name": "bad", "code": code}


async def test_service_is_named_with_version_image_and_replicas(serving: OperatorHarness) -> None:
    value = registry(serving).get_sample_value
    service = {"namespace": "default", "service": "m"}
    assert value("modelyard_service_info", service | {"version": "1", "image": "m:1"}) == 1
    replicas = serving.status("Service")["replicas"]
    assert value("modelyard_service_replicas", service) == replicas > 0
    assert value("modelyard_service_ready_replicas", service) == replicas


async def test_operator_has_its_release(harness: OperatorHarness) -> None:
    release = {"version": version("modelyard")}
    assert registry(harness).get_sample_value("modelyard_operator_info", release) == 1


def test_counters_of_alerts_have_values_before_the_first_failure() -> None:
    """Without them, increase() misses failures that come between two scrapes."""
    failures = [
        ("modelyard_build_failures", {"code": code, "fault": row.fault}) for code, row in TABLE.items()
    ]
    repairs = [("modelyard_repairs", {"resource": each.qualified}) for each in (DEPLOYMENTS, HTTP_ROUTES)]
    value = REGISTRY.get_sample_value
    missing = [labels for name, labels in [*failures, *repairs] if value(f"{name}_total", labels) is None]
    assert missing == []
