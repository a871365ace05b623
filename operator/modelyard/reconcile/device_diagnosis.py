"""Unhealthy devices of replicas, such as GPUs: pure functions of specs and of the status of pods."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from modelyard.kube.types import Json


class _Device(NamedTuple):
    """An unhealthy device of a pod."""

    pod: str
    resource: str
    name: str
    detail: str


def requests_devices(spec: Json, limits: Mapping[str, Any]) -> bool:
    """Return True if a Service has an extended resource, by its spec or by the limits of the chart."""
    own = ((spec.get("pod") or {}).get("resources") or {}).get("limits") or {}
    return any("/" in name for name in (*own, *limits))


def describe_unhealthy(pods: list[Json]) -> str | None:
    """Return a sentence on the unhealthy devices of pods, None if there are none.

    A kubelet reports the health since Kubernetes 1.36, as a device plugin does:
    https://kubernetes.io/docs/concepts/extend-kubernetes/compute-storage-net/device-plugins/#device-plugin-and-unhealthy-devices
    """
    devices = sorted(_unhealthy(pods))
    if not devices:
        return None
    first = devices[0]
    detail = f" ({first.detail})" if first.detail else ""
    others = f", and {len(devices) - 1} other devices are unhealthy" if len(devices) > 1 else ""
    return (
        f"device {first.name} of {first.resource} in pod {first.pod} is unhealthy{detail}{others}. The"
        " container runs on: delete the pod, and its replacement gets a healthy device"
    )


def _unhealthy(pods: list[Json]) -> Iterator[_Device]:
    """Yield the unhealthy devices of the pods that are not being deleted."""
    for pod in pods:
        metadata, status = pod["metadata"], pod.get("status", {})
        if "deletionTimestamp" in metadata or status.get("phase") in {"Succeeded", "Failed"}:
            continue
        for container in status.get("containerStatuses", ()):
            for resource in container.get("allocatedResourcesStatus", ()):
                for device in resource.get("resources", ()):
                    if device.get("health") == "Unhealthy":
                        yield _Device(
                            metadata["name"],
                            resource["name"],
                            device["resourceID"],
                            device.get("message", ""),
                        )
