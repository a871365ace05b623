"""In a steady state the operator writes nothing, in each state of its objects."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final

import pytest
from tests.support.cluster import Kubectl, eventually
from tests.support.objects import constant_driver, image, manifest, service
from tests.support.operator import SYSTEM, Samples, operator_metrics, operator_pod, samples
from tests.support.status import wait_for_status

SECONDS: Final = 60
WRITES: Final = {"POST", "PUT", "PATCH", "APPLY", "DELETE"}
# Resources that the operator writes besides its own kinds. Kubernetes' controllers write subresources.
CHILDREN: Final = {
    "deployments", "services", "secrets", "configmaps", "jobs", "controllerrevisions",
    "horizontalpodautoscalers", "poddisruptionbudgets",
}  # fmt: skip
SCALER: Final = {"autoscaleEnabled": True, "minReplicas": 1, "maxReplicas": 3}


def api_writes(kubectl: Kubectl) -> dict[str, float]:
    """Writes that the API server has counted of our group, and of resources that the operator writes."""
    counted: dict[str, float] = {}
    for (name, labels), value in samples(kubectl("get", "--raw", "/metrics")).items():
        if name != "apiserver_request_total":
            continue
        label = dict(labels)
        ours = label["group"] == "modelyard.dev"
        child = label["resource"] in CHILDREN and not label["subresource"] and label["scope"] == "resource"
        event = label["group"] == "events.k8s.io"
        if label["verb"] in WRITES and (ours or child or event):
            key = f"{label['verb']} {label['resource']}/{label['subresource']} {label['code']}"
            counted[key] = counted.get(key, 0) + value
    return counted


def operator_writes(metrics: Samples) -> dict[str, float]:
    """Writes that the operator has counted."""
    return {
        " ".join(sorted(value for _, value in labels)): count
        for (name, labels), count in metrics.items()
        if name == "modelyard_api_writes_total"
    }


def grown(before: dict[str, float], after: dict[str, float]) -> dict[str, float]:
    return {key: count - before.get(key, 0) for key, count in after.items() if count != before.get(key, 0)}


@pytest.fixture
def at_rest(shared: Kubectl, kubectl: Kubectl, failing: list[str]) -> Kubectl:
    """Objects in every state that lasts."""
    spark = manifest("failed", constant_driver("never"))
    spark["spec"]["targetRuntime"]["runtimeType"] = "SparkPython"
    shared.apply(
        service("fixed", "one", numReplicas=2),
        service("scaled", "one", autoScaler=SCALER, containerResourceReservation={"cpu": "100m"}),
    )
    kubectl.apply(
        spark, image("failed"), service("waits-for-a-failed-one", "failed"), service("waits", "nothing")
    )
    for name in ("fixed", "scaled"):
        wait_for_status(shared, "msvc", name, 120, state="Succeeded")
    for name in failing:
        wait_for_status(shared, "msvc", name, 120, state="Failed")
    wait_for_status(kubectl, "img", "failed", 60, state="Failed")
    for name in ("waits", "waits-for-a-failed-one"):
        wait_for_status(kubectl, "msvc", name, 60, state="NotStarted")
    # Kubernetes deletes Jobs some minutes after their end, which looks like a write of the operator.
    SYSTEM("delete", "jobs", "--all", timeout=60)
    return kubectl


def settled(kubectl: Kubectl) -> Callable[[], bool]:
    """Return a probe: nothing was written since its last call, and no namespace is being deleted."""
    last: list[dict[str, float]] = []

    def probe() -> bool:
        now = api_writes(kubectl)
        calm = bool(last) and not grown(last.pop(), now)
        last.append(now)
        going = [item for item in kubectl.list("namespaces") if item["status"]["phase"] == "Terminating"]
        return calm and not going

    return probe


def test_no_write_in_a_minute_of_steady_state(at_rest: Kubectl) -> None:
    eventually(settled(at_rest), 120, "earlier tests have left", every=5)
    operator = operator_pod()["metadata"]["uid"]
    of_operator, of_api = operator_writes(operator_metrics()), api_writes(at_rest)
    assert of_operator
    assert any("modelyard" in key or "services/status" in key for key in of_api)
    time.sleep(SECONDS)
    assert grown(of_operator, operator_writes(operator_metrics())) == {}
    assert grown(of_api, api_writes(at_rest)) == {}
    assert operator_pod()["metadata"]["uid"] == operator


def test_metrics_count_reconciles_and_builds() -> None:
    found = operator_metrics()
    names = {name for name, _ in found}
    assert {"modelyard_queue_depth", "modelyard_api_writes_total", "modelyard_builds_total"} <= names

    def by(name: str, label: str) -> dict[str, float]:
        return {dict(labels)[label]: value for (said, labels), value in found.items() if said == name}

    assert found["modelyard_queue_depth", frozenset()] == 0
    assert set(by("modelyard_reconcile_seconds_count", "kind")) == {"Model", "Manifest", "Image", "Service"}
    assert not any(by("modelyard_reconcile_errors_total", "kind").values())
    assert set(by("modelyard_builds_total", "result")) <= {"succeeded", "failed", "reused"}
