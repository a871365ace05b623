"""Objects of the API server for tests of the scaler."""

from __future__ import annotations

from typing import Any

from modelyard.kube.types import Json


def pod(
    name: str = "m-1", service: str = "m", *, ready: bool = True, ip: str = "10.0.0.1", **more: Any
) -> Json:
    """Return a pod of a Service in the namespace `default`."""
    labels = {"modelyard.dev/service": service, "app.kubernetes.io/managed-by": "modelyard"}
    return {
        "metadata": {"namespace": "default", "name": name, "uid": f"uid-{name}", "labels": labels} | more,
        "status": {"podIP": ip, "conditions": [{"type": "Ready", "status": str(ready)}]},
    }


def service(name: str = "m", **scaler: Any) -> Json:
    """Return a Service with the fields of its autoScaler."""
    return {
        "metadata": {"namespace": "default", "name": name},
        "spec": {"imageId": "m", "autoScaler": scaler},
    }
