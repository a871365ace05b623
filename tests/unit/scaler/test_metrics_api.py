"""Documents of the custom metrics API, as Kubernetes' own client reads them."""

from __future__ import annotations

import pytest
from tests.unit.scaler.objects import pod, service

from modelyard.api.resources import CUSTOM_RESOURCES
from modelyard.kube.types import PODS
from modelyard.replica_client.load import Load
from modelyard.scaler.metric_documents import quantity
from modelyard.scaler.metrics_api import Answer, MetricRequest, discovery, parse_path, read_metric
from modelyard.scaler.replicas import Replica, Replicas

ROOT = "/apis/custom.metrics.k8s.io"
METRIC = "modelyard_scoring_utilization"


def replicas(*utilization: int) -> list[Replica]:
    """Return replicas m-0, m-1 … with the given running requests in four places."""
    found = Replicas(lambda spec: True, lambda replica, is_asked: None)
    found.on_service(CUSTOM_RESOURCES["Service"], service(), deleted=False)
    for number in range(len(utilization)):
        found.on_pod(PODS, pod(f"m-{number}"), deleted=False)
    for replica, running in zip(found.asked(), utilization, strict=True):
        for at in (100.0, 106.0):
            replica.figures.add(Load(running, 0, 4, 0, True), at=at, read_at=1764500000.9)
    return list(found.asked())


def read(query: str = "", pod: str = "*", version: str = "v1beta2", metric: str = METRIC) -> Answer:
    return read_metric(MetricRequest(version, "default", pod, metric), query, replicas(2, 7))


def test_discovery_names_the_metric_in_both_versions() -> None:
    group = discovery(ROOT)
    assert group is not None
    assert [one["version"] for one in group["versions"]] == ["v1beta2", "v1beta1"]
    assert group["preferredVersion"]["groupVersion"] == "custom.metrics.k8s.io/v1beta2"
    for version in ("v1beta1", "v1beta2"):
        found = discovery(f"{ROOT}/{version}")
        assert found is not None
        assert found["groupVersion"] == f"custom.metrics.k8s.io/{version}"
        (resource,) = found["resources"]
        assert (resource["name"], resource["kind"], resource["namespaced"], resource["verbs"]) == (
            f"pods/{METRIC}", "MetricValueList", True, ["get"],
        )  # fmt: skip
    assert discovery(f"{ROOT}/v1") is None
    assert [discovery(path) is None for path in ("/apis", "/openapi/v2", "/openapi/v3")] == [False] * 3


def test_metric_of_all_pods_has_time_window_and_quantity() -> None:
    code, body = read("labelSelector=modelyard.dev%2Fservice%3Dm")
    assert (code, body["kind"], body["apiVersion"]) == (
        200,
        "MetricValueList",
        "custom.metrics.k8s.io/v1beta2",
    )
    assert body["items"][0] == {
        "describedObject": {
            "kind": "Pod", "apiVersion": "v1", "namespace": "default", "name": "m-0", "uid": "uid-m-0",
        },
        "metric": {"name": METRIC, "selector": None},
        "timestamp": "2025-11-30T10:53:20Z",
        "windowSeconds": 6,
        "value": "500m",
    }  # fmt: skip
    assert [item["value"] for item in body["items"]] == ["500m", "1750m"]


def test_older_version_has_the_older_form() -> None:
    item = read(version="v1beta1").body["items"][0]
    assert (item["metricName"], item["selector"], item["window"]) == (METRIC, None, 6)
    assert not {"metric", "windowSeconds"} & set(item)


@pytest.mark.parametrize(
    ("query", "pods"),
    [
        ("", 2),
        ("labelSelector=modelyard.dev/service=other", 0),
        ("labelSelector=modelyard.dev/service+in+(m,n)", 2),
        ("metricLabelSelector=verb%3DGET", 0),
        ("metricLabelSelector=!verb", 2),
    ],
)
def test_selectors_choose_pods_and_metrics(query: str, pods: int) -> None:
    code, body = read(query)
    assert (code, len(body["items"])) == (200, pods)


def test_metric_of_one_pod() -> None:
    assert [item["value"] for item in read(pod="m-1").body["items"]] == ["1750m"]
    code, body = read(pod="m-9")
    assert (code, body["reason"]) == (404, "NotFound")
    assert "default/m-9" in body["message"]


def test_selector_that_is_not_valid_is_refused() -> None:
    code, body = read("labelSelector=a%20b")
    assert (code, body["reason"], body["status"]) == (400, "BadRequest", "Failure")
    assert "'a b' is not a condition on a label" in body["message"]


def test_other_metric_is_not_found() -> None:
    code, body = read(metric="requests")
    assert code == 404
    assert "there is no metric requests of pods" in body["message"]


@pytest.mark.parametrize(
    "path",
    [
        f"{ROOT}/v1beta2/namespaces/a/pods",
        f"{ROOT}/v1beta2/namespaces/a/pods/*",
        f"{ROOT}/v1beta2/namespaces/a/services/*/{METRIC}",
        f"{ROOT}/v1beta2/namespaces//pods/*/{METRIC}",
        f"{ROOT}/v1/namespaces/a/pods/*/{METRIC}",
        f"{ROOT}/v1beta2/nodes/*/{METRIC}",
        "/",
    ],
)
def test_other_paths_are_none_of_the_api(path: str) -> None:
    assert parse_path(path) is None
    assert parse_path(f"{ROOT}/v1beta2/namespaces/a/pods/*/{METRIC}") == MetricRequest(
        "v1beta2", "a", "*", METRIC
    )


@pytest.mark.parametrize(
    ("share", "text"), [(0.0, "0"), (0.7, "700m"), (2.0, "2"), (1.2345, "1234m"), (0.0004, "0")]
)
def test_share_is_a_quantity_in_canonical_form(share: float, text: str) -> None:
    assert quantity(share) == text
