"""Builder of the HorizontalPodAutoscaler of a Service.

A step may reach each number of replicas within the bounds. Only the stabilisation windows delay it.
"""

from __future__ import annotations

from modelyard.api.owners import Owner
from modelyard.api.service import ServiceSpec
from modelyard.contract.custom_metrics import METRIC
from modelyard.kube.types import AUTOSCALERS, DEPLOYMENTS, Json
from modelyard.resources.pod_template import CONTAINER
from modelyard.resources.revision import metadata


def autoscaler(owner: Owner, spec: ServiceSpec, *, has_requests_metric: bool) -> Json:
    """Return the HorizontalPodAutoscaler. `has_requests_metric` is False if the cluster serves CPU only."""
    scaler = spec.scaling
    period = scaler.effective_refresh_period
    up = {"type": "Pods", "value": scaler.effective_max, "periodSeconds": period}
    down = {"type": "Percent", "value": 100, "periodSeconds": period}
    uses_requests = has_requests_metric and spec.scales_on_requests
    target = scaler.effective_target
    return {
        **AUTOSCALERS.header(),
        "metadata": metadata(owner, owner.name),
        "spec": {
            "scaleTargetRef": {**DEPLOYMENTS.header(), "name": owner.name},
            "minReplicas": spec.min_replicas,
            "maxReplicas": scaler.effective_max,
            "metrics": [_requests_metric(target) if uses_requests else _cpu_metric(target)],
            "behavior": {
                "scaleUp": _rules(scaler.scale_up_window, up),
                "scaleDown": _rules(scaler.scale_down_window, down),
            },
        },
    }


def _rules(window_seconds: int, policy: Json) -> Json:
    return {"stabilizationWindowSeconds": window_seconds, "selectPolicy": "Max", "policies": [policy]}


def _requests_metric(target: int) -> Json:
    """Return the metric with its target in percent, as a quantity in the API server's canonical form."""
    value = f"{target * 10}m" if target % 100 else str(target // 100)
    pods = {"metric": {"name": METRIC}, "target": {"type": "AverageValue", "averageValue": value}}
    return {"type": "Pods", "pods": pods}


def _cpu_metric(target: int) -> Json:
    """Return the metric of the scoring container, since the CPU of a side-car is not the load of the Service.

    A side-car without a CPU request, which a service mesh may inject, would leave the metric of pods without
    a figure. Stable since Kubernetes 1.30:
    https://kubernetes.io/docs/tasks/run-application/horizontal-pod-autoscale/#container-resource-metrics
    """
    utilization = {"type": "Utilization", "averageUtilization": target}
    resource = {"name": "cpu", "container": CONTAINER, "target": utilization}
    return {"type": "ContainerResource", "containerResource": resource}
