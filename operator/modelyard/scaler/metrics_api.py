"""The custom metrics API: a path and its query in, a document out.

The paths are those of Kubernetes' own adapters: pods have the metric as a subresource, `*` stands for all
pods that the label selector selects.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, NamedTuple
from urllib.parse import parse_qs

from modelyard.contract.custom_metrics import GROUP, METRIC, VERSIONS
from modelyard.kube.selector import Selector, parse_selector
from modelyard.kube.types import Json
from modelyard.scaler import metric_documents as documents
from modelyard.scaler.metric_documents import Value
from modelyard.scaler.replicas import Replica

ALL_PODS: Final = "*"
_METRIC_PARTS: Final = 7  # apis, group, version, namespaces, namespace, pods, pod; the metric follows


class MetricRequest(NamedTuple):
    """A request for the metric of one pod, or of all selected pods of a namespace."""

    version: str
    namespace: str
    pod: str
    metric: str


class Answer(NamedTuple):
    """Status code and document of a response."""

    code: int
    body: Json


def discovery(path: str) -> Json | None:
    """Return the document of a path that each authenticated user may read, None for another path."""
    fixed = {
        "/apis": documents.group_list,
        f"/apis/{GROUP}": documents.group,
        "/openapi/v2": documents.openapi_v2,
        "/openapi/v3": documents.openapi_v3,
    }
    if path in fixed:
        return fixed[path]()
    for version in VERSIONS:
        if path == f"/apis/{GROUP}/{version}":
            return documents.resource_list(version)
    return None


def parse_path(path: str) -> MetricRequest | None:
    """Return the request of a path, None for a path that this API has not."""
    parts = path.strip("/").split("/")
    if len(parts) != _METRIC_PARTS + 1:
        return None
    apis, group, version, namespaces, namespace, resource, pod, metric = parts
    if (apis, group, namespaces, resource) != ("apis", GROUP, "namespaces", "pods"):
        return None
    if version not in VERSIONS or not (namespace and pod and metric):
        return None
    return MetricRequest(version, namespace, pod, metric)


def read_metric(request: MetricRequest, query: str, replicas: Iterable[Replica]) -> Answer:
    """Return the values of the replicas that the request selects.

    `replicas` are those of the namespace with recent figures. Of all pods there may be no value. Of one pod
    there must be one.
    """
    if request.metric != METRIC:
        return not_found(f"there is no metric {request.metric} of pods. The only one is {METRIC}")
    options = parse_qs(query)
    try:
        selector = parse_selector(_last(options, "labelSelector"))
        metric_selector = parse_selector(_last(options, "metricLabelSelector"))
    except ValueError as error:
        message = f"labelSelector or metricLabelSelector: {error}"
        return Answer(400, documents.status(400, "BadRequest", message))
    values = [
        _value(replica)
        for replica in replicas
        if _selects(request.pod, selector, replica) and metric_selector.matches({})
    ]
    if not values and request.pod != ALL_PODS:
        return not_found(f"pod {request.namespace}/{request.pod} is no ready replica with a known load")
    return Answer(200, documents.value_list(request.version, values, metric_selector))


def not_found(message: str) -> Answer:
    """Return the answer 404."""
    return Answer(404, documents.status(404, "NotFound", message))


def _selects(pod: str, selector: Selector, replica: Replica) -> bool:
    return selector.matches(replica.labels) if pod == ALL_PODS else replica.key.name == pod


def _value(replica: Replica) -> Value:
    figures = replica.figures
    return Value(*replica.key, replica.uid, figures.utilization, figures.read_at, figures.window_seconds)


def _last(options: dict[str, list[str]], name: str) -> str:
    return options.get(name, [""])[-1]
