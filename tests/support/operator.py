"""The operator of the installed chart: its pod, its build Jobs and its metrics."""

from __future__ import annotations

from typing import Final

from prometheus_client.parser import text_string_to_metric_families
from tests.support.cluster import OPERATOR_NAMESPACE, Json, Kubectl, eventually

SYSTEM: Final = Kubectl(OPERATOR_NAMESPACE)
_SELECTOR: Final = "app.kubernetes.io/name=modelyard,app.kubernetes.io/instance=modelyard"
_PROXY: Final = f"/api/v1/namespaces/{OPERATOR_NAMESPACE}/services/modelyard:metrics/proxy/metrics"

Samples = dict[tuple[str, frozenset[tuple[str, str]]], float]


def operator_pod() -> Json:
    """Return the operator's pod once it is ready."""
    return eventually(lambda: SYSTEM.ready_pods(_SELECTOR), 60, "the operator is ready")[0]


def restarts() -> tuple[str, int]:
    """Return the UID of the operator's pod, and the number of restarts of its containers."""
    pod = operator_pod()
    return pod["metadata"]["uid"], sum(item["restartCount"] for item in pod["status"]["containerStatuses"])


def kill_operator() -> None:
    """Kill the operator without a clean shutdown. Its Deployment creates another pod."""
    name = operator_pod()["metadata"]["name"]
    SYSTEM("delete", "pod", name, "--grace-period=0", "--force")


def build_jobs(namespace: str, image: str) -> list[Json]:
    """Return the build Jobs of an Image, the oldest first."""
    found = [
        job
        for job in SYSTEM.list("jobs")
        if job["metadata"].get("annotations", {}).get("modelyard.dev/image") == f"{namespace}/{image}"
    ]
    return sorted(found, key=lambda job: job["metadata"]["creationTimestamp"])


def samples(text: str) -> Samples:
    """Parse metrics in Prometheus' text format. Returns the values by name and labels."""
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def operator_metrics() -> Samples:
    """Return the metrics of the operator, read through the API server."""
    return samples(SYSTEM("get", "--raw", _PROXY))
