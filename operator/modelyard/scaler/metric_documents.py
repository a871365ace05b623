"""Documents of the custom metrics API: discovery, lists of values, and errors. Pure functions.

Versions v1beta1 and v1beta2 have the same requests. They differ in the form of a value only:
https://kubernetes.io/docs/reference/external-api/custom-metrics.v1beta2/
"""

from __future__ import annotations

import datetime as dt
from typing import Final, NamedTuple

from modelyard.contract.custom_metrics import GROUP, METRIC, VERSIONS
from modelyard.kube.selector import Selector
from modelyard.kube.types import Json


class Value(NamedTuple):
    """The utilisation of a pod: the mean over some seconds before a time."""

    namespace: str
    pod: str
    uid: str
    utilization: float
    read_at: float
    """Unix time of the latest sample, in seconds."""
    window_seconds: float


def group_list() -> Json:
    """Return the list of API groups."""
    return {"kind": "APIGroupList", "apiVersion": "v1", "groups": [group()]}


def group() -> Json:
    """Return the API group with its versions, the preferred one first."""
    versions = [{"groupVersion": f"{GROUP}/{version}", "version": version} for version in VERSIONS]
    return {
        "kind": "APIGroup",
        "apiVersion": "v1",
        "name": GROUP,
        "versions": versions,
        "preferredVersion": versions[0],
    }


def resource_list(version: str) -> Json:
    """Return the resources of a version: each metric is a subresource of the objects that it describes."""
    metric = {
        "name": f"pods/{METRIC}",
        "singularName": "",
        "namespaced": True,
        "kind": "MetricValueList",
        "verbs": ["get"],
    }
    return {
        "kind": "APIResourceList",
        "apiVersion": "v1",
        "groupVersion": f"{GROUP}/{version}",
        "resources": [metric],
    }


def value_list(version: str, values: list[Value], metric_selector: Selector) -> Json:
    """Return a MetricValueList."""
    return {
        "kind": "MetricValueList",
        "apiVersion": f"{GROUP}/{version}",
        "metadata": {},
        "items": [_value(version, value, metric_selector) for value in values],
    }


def _value(version: str, value: Value, metric_selector: Selector) -> Json:
    selector = metric_selector.to_json()
    window = round(value.window_seconds)
    item: Json = {
        "describedObject": {
            "kind": "Pod",
            "namespace": value.namespace,
            "name": value.pod,
            "uid": value.uid,
            "apiVersion": "v1",
        },
        "timestamp": dt.datetime.fromtimestamp(value.read_at, dt.UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "value": quantity(value.utilization),
    }
    if version == _OLD_VERSION:
        return item | {"metricName": METRIC, "selector": selector, "window": window}
    return item | {"metric": {"name": METRIC, "selector": selector}, "windowSeconds": window}


_OLD_VERSION: Final = "v1beta1"


def quantity(utilization: float) -> str:
    """Return a share as a quantity in canonical form, such as `700m` for 0.7."""
    milli = round(utilization * 1000)
    return f"{milli}m" if milli % 1000 else str(milli // 1000)


def status(code: int, reason: str, message: str) -> Json:
    """Return a metav1.Status of a failure."""
    return {
        "kind": "Status",
        "apiVersion": "v1",
        "metadata": {},
        "status": "Failure",
        "message": message,
        "reason": reason,
        "code": code,
    }


def openapi_v2() -> Json:
    """Return an OpenAPI document without paths: the API server merges it into its own."""
    return {"swagger": "2.0", "info": {"title": GROUP, "version": VERSIONS[0]}, "paths": {}}


def openapi_v3() -> Json:
    """Return the list of OpenAPI 3 documents, which is empty."""
    return {"paths": {}}
