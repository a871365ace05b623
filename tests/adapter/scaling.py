"""The real prometheus-adapter serves the load of Services, by the values and the rule of docs/scaling.md.

`make test-prometheus-adapter` runs this file by its name, and CI does not: it does not have the program.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest
from tests.support.cluster import Json, Kubectl, eventually
from tests.support.crds import created_crds
from tests.support.git_committer import namespace_beside_release
from tests.support.load import Load
from tests.support.objects import WAITING_DRIVER, image, manifest, service
from tests.support.programs import program
from tests.support.prometheus import Prometheus, job_of_monitor
from tests.support.prometheus_adapter import API, GROUP, NAME, documented_values, prometheus_adapter
from tests.support.release import changed_values, monitors, refusal
from tests.support.status import wait_for_status

from modelyard.contract.custom_metrics import METRIC
from modelyard.kube.quantity import parse_quantity

pytestmark = pytest.mark.e2e

SPEC: Final[Json] = {
    "maxConcurrentRequestsPerContainer": 2,
    "containerResourceReservation": {"cpu": "50m", "memory": "64Mi"},
    "autoScaler": {"maxReplicas": 3, "scaleDownStabilizationSeconds": 5},
}
CLIENTS: Final = 12
"""600 % of the places of one replica, 200 % of those of three."""


@pytest.fixture
def kubectl() -> Iterator[Kubectl]:
    """kubectl in a namespace with a Service of a waiting driver. No server has the API of custom metrics."""
    values, _ = documented_values()
    with (
        created_crds(program("prometheus-operator-crds")),
        namespace_beside_release("adapter") as kubectl,
        changed_values(values),
    ):
        kubectl.apply(manifest("m", WAITING_DRIVER), image("m"), service("m", "m", **SPEC))
        wait_for_status(kubectl, "msvc", "m", 240, state="Succeeded", readyReplicas=1)
        assert owners(kubectl) == {}
        yield kubectl


def owners(kubectl: Kubectl) -> dict[str, str]:
    """Return the Service behind each version of the API."""
    found = [item for item in kubectl.list("apiservices") if item["spec"].get("group") == GROUP]
    return {item["metadata"]["name"]: item["spec"]["service"]["name"] for item in found}


def missing(kubectl: Kubectl) -> str:
    """Return the message of the condition MetricMissing, empty without it."""
    conditions = kubectl.get("msvc", "m")["status"]["conditions"]
    return next((one["message"] for one in conditions if one["type"] == "MetricMissing"), "")


def values_of_pods(kubectl: Kubectl) -> list[Json]:
    """Return the metric of each pod of the Service, by the path that the autoscaler reads."""
    path = f"/apis/custom.metrics.k8s.io/v1beta1/namespaces/{kubectl.namespace}/pods/*/{METRIC}"
    selector = "labelSelector=modelyard.dev%2Fservice%3Dm"
    found: list[Json] = json.loads(kubectl("get", "--raw", f"{path}?{selector}"))["items"]
    return found


def job_of_services() -> Json:
    """Return the scrape configuration of the PodMonitor for Services, with its interval."""
    (monitor,) = (one for one in monitors() if one["metadata"]["name"] == "modelyard-services")
    (endpoint,) = monitor["spec"]["podMetricsEndpoints"]
    return job_of_monitor(monitor) | {"scrape_interval": endpoint["interval"]}


def test_autoscaler_follows_the_load_by_the_rule_of_the_documentation(
    kubectl: Kubectl, tmp_path: Path
) -> None:
    told = eventually(lambda: missing(kubectl), 240, "MetricMissing without an adapter")
    assert METRIC in told

    with Prometheus(tmp_path / "prometheus", [job_of_services()], {}) as prometheus:
        eventually(lambda: prometheus.query("modelyard_scoring_concurrency"), 60, "series of the Service")
        with prometheus_adapter(kubectl, tmp_path, prometheus.url):
            eventually(lambda: not missing(kubectl), 120, "no MetricMissing with an adapter")
            assert owners(kubectl) == {API: NAME}
            check_scaling(kubectl)
            refused = refusal({"scaling": {"metrics": "own"}})
            assert f"APIService {API} belongs to the Service {kubectl.namespace}/{NAME}" in refused
            assert owners(kubectl) == {API: NAME}


def check_scaling(kubectl: Kubectl) -> None:
    """Check that load adds replicas, that its end removes them, and that the metric is the mean of them."""
    clients: Any = {"connections": CLIENTS, "new_connections": True}
    with Load(kubectl, "m", "{}", **clients):
        wait_for_status(kubectl, "msvc", "m", 240, replicas=3, readyReplicas=3)

        def settled() -> bool:
            """Return whether the metric is the clients by the places of three replicas, about two."""
            loads = [parse_quantity(item["value"]) or 0 for item in values_of_pods(kubectl)]
            return len(loads) == 3 and 1 < sum(loads) / 3 < 2.3

        eventually(settled, 180, "a mean load of two requests for each place", every=5)
    wait_for_status(kubectl, "msvc", "m", 240, replicas=1, readyReplicas=1)
