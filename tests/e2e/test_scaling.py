"""Replicas: the autoscaler follows the load of Services up and down, and changing hands drops none."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from typing import Any, Final

import pytest
from tests.support.cluster import Json, Kubectl, eventually
from tests.support.load import Load
from tests.support.objects import service
from tests.support.status import history, wait_for_status

Make = Callable[..., str]
SCALER: Final = {"autoscaleEnabled": True, "targetUtilization": 70, "refreshPeriodInSeconds": 1}
RESERVED: Final = {"cpu": "50m", "memory": "64Mi"}
TWO_PLACES: Final = {"maxConcurrentRequestsPerContainer": 2, "containerResourceReservation": RESERVED}


PERCENT_OF_REQUESTS: Final = "modelyard_scoring_utilization"


@pytest.fixture(scope="module")
def risen(shared: Kubectl) -> Iterator[str]:
    """A Service that load has brought from one replica to three, and one that scales by CPU.

    Twelve clients of a driver that waits are 600 % of two places: nine replicas at 70 %, and at most three.
    """
    scaler = SCALER | {"minReplicas": 1, "maxReplicas": 3, "scaleDownStabilizationSeconds": 5}
    shared.apply(
        service("waits", "waits", autoScaler=scaler, **TWO_PLACES),
        service("waits-cpu", "waits", autoScaler=scaler | {"utilizationMetric": "CPU"}, **TWO_PLACES),
    )
    for name in ("waits", "waits-cpu"):
        wait_for_status(shared, "msvc", name, 120, state="Succeeded", replicas=1)
    clients: Any = {"connections": 12, "new_connections": True}
    with Load(shared, "waits-cpu", "{}", **clients), Load(shared, "waits", "{}", **clients):
        wait_for_status(shared, "msvc", "waits", 60, replicas=3, readyReplicas=3)
        # The operator lists autoscalers every 20 s, and waits 50 times as long as a list has taken.
        eventually(lambda: condition(shared, "waits", "AtMaximum") == "True", 150, "the condition AtMaximum")
        yield "waits"


def condition(kubectl: Kubectl, name: str, type_: str) -> str | None:
    found = kubectl.get("msvc", name)["status"].get("conditions", ())
    return next((item["status"] for item in found if item["type"] == type_), None)


def test_load_of_a_waiting_driver_adds_replicas(shared: Kubectl, risen: str) -> None:
    told = wait_for_status(shared, "msvc", risen, 1, replicas=3, readyReplicas=3)
    assert (told["state"], told["version"]) == ("Succeeded", 1)  # scaling is no new version
    # The operator writes this number once a minute at most.
    eventually(
        lambda: shared.get("msvc", risen)["status"].get("utilization", 0) > 70, 75, "a high utilization"
    )
    titles, row = shared("get", "msvc", risen).splitlines()
    assert dict(zip(titles.split(), row.split(), strict=False))["DESIRED"] == "3"
    assert "LOAD" in titles


def test_same_load_by_cpu_adds_none(shared: Kubectl, risen: str) -> None:
    assert wait_for_status(shared, "msvc", "waits-cpu", 1, replicas=1)["state"] == "Succeeded"

    def measured() -> Json | None:
        """Return the metric in the status, None until metrics-server has measured the replica."""
        found: list[Json] = shared.get("hpa", "waits-cpu")["status"].get("currentMetrics") or []
        return next((metric for metric in found if metric["type"]), None)

    metric = eventually(measured, 60, "a figure of the CPU")
    used = metric["containerResource"]
    assert (metric["type"], used["name"], used["container"]) == ("ContainerResource", "cpu", "scoring")


@pytest.mark.parametrize("version", ["v1beta2", "v1beta1"])
def test_metric_is_served_by_the_api_server(shared: Kubectl, risen: str, version: str) -> None:
    root = f"/apis/custom.metrics.k8s.io/{version}"
    resources = json.loads(shared("get", "--raw", root))["resources"]
    assert [one["name"] for one in resources] == [f"pods/{PERCENT_OF_REQUESTS}"]
    path = f"{root}/namespaces/{shared.namespace}/pods/*/{PERCENT_OF_REQUESTS}"
    found = json.loads(shared("get", "--raw", f"{path}?labelSelector=modelyard.dev%2Fservice%3D{risen}"))
    assert (found["kind"], len(found["items"])) == ("MetricValueList", 3)
    assert {item["describedObject"]["kind"] for item in found["items"]} == {"Pod"}
    with pytest.raises(RuntimeError, match="pods/modelyard_scoring_utilization"):
        shared("get", "--raw", path, "--as", "system:serviceaccount:default:default")


def test_switch_between_fixed_and_autoscaled_drops_no_replica(shared: Kubectl, make_service: Make) -> None:
    name = make_service("one", numReplicas=3, containerResourceReservation=RESERVED)
    with history(shared, "deployment", name, "{.spec.replicas}") as wanted:
        scaler = SCALER | {"minReplicas": 2, "maxReplicas": 4}
        shared.patch("msvc", name, {"spec": {"autoScaler": scaler, "numReplicas": None}})
        wait_for_status(shared, "msvc", name, 60, state="Succeeded", version=2)
        assert set(wanted) == {"3"}  # for the autoscaler to lower, which it may do half a minute later
        eventually(
            lambda: (shared.get_or_none("hpa", name) or {}).get("status", {}).get("desiredReplicas", 0) >= 2,
            60, "the autoscaler is in charge",
        )  # fmt: skip
        shared.patch("msvc", name, {"spec": {"autoScaler": None, "numReplicas": 4}})
        wait_for_status(shared, "msvc", name, 120, state="Succeeded", version=3, replicas=4, readyReplicas=4)
        assert shared.get_or_none("hpa", name) is None
        time.sleep(11)  # two of the autoscaler's periods: it is gone, and sets nothing back
    assert {int(count) for count in wanted} <= {2, 3, 4}
    assert int(wanted[-1]) == 4


def test_kubectl_scales_and_autoscales_a_service(shared: Kubectl, make_service: Make) -> None:
    name = make_service("one", containerResourceReservation=RESERVED)
    shared("scale", f"msvc/{name}", "--replicas=2")
    wait_for_status(shared, "msvc", name, 120, state="Succeeded", version=2, readyReplicas=2)
    titles, row = shared("get", "msvc", name, "--output", "wide").splitlines()
    assert {"REPLICAS", "DESIRED", "IMAGE", "AGE"} <= set(titles.split())
    assert {f"{name}:2", "2", "one:1"} <= set(row.split())
    shared("autoscale", f"msvc/{name}", "--min=3", "--max=3", "--cpu=80%")
    wait_for_status(shared, "msvc", name, 120, state="Succeeded", version=3, readyReplicas=3)


def test_kubectl_autoscale_is_refused_beside_the_own_autoscaler(shared: Kubectl, make_service: Make) -> None:
    scaler = SCALER | {"minReplicas": 1, "maxReplicas": 2}
    name = make_service("one", autoScaler=scaler, containerResourceReservation=RESERVED)
    with pytest.raises(RuntimeError, match="already exists"):
        shared("autoscale", f"msvc/{name}", "--min=1", "--max=3", "--cpu=80%")
    with pytest.raises(RuntimeError, match="numReplicas and an enabled autoScaler exclude each other"):
        shared("scale", f"msvc/{name}", "--replicas=2")


def test_deleted_autoscaler_and_disruption_budget_exist_again_within_seconds(
    shared: Kubectl, make_service: Make
) -> None:
    scaler = SCALER | {"minReplicas": 2, "maxReplicas": 2}
    name = make_service("one", autoScaler=scaler, containerResourceReservation=RESERVED)
    for kind in ("hpa", "pdb"):
        deleted = shared.get(kind, name)["metadata"]["uid"]
        shared("delete", kind, name)

        def exists_again(kind: str = kind, deleted: str = deleted) -> bool:
            found = shared.get_or_none(kind, name)
            return found is not None and found["metadata"]["uid"] != deleted

        eventually(exists_again, 10, f"the {kind} exists again")


def test_replicas_are_removed_after_the_load(shared: Kubectl, make_service: Make) -> None:
    scaler = SCALER | {"minReplicas": 1, "maxReplicas": 3, "scaleDownStabilizationSeconds": 5}
    name = make_service("waits", autoScaler=scaler, **TWO_PLACES)
    with Load(shared, name, "{}", connections=8, new_connections=True):
        wait_for_status(shared, "msvc", name, 60, replicas=3, readyReplicas=3)
    told = wait_for_status(shared, "msvc", name, 60, replicas=1, readyReplicas=1)
    assert (told["state"], told["version"]) == ("Succeeded", 1)
