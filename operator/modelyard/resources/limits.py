"""Resource requests and limits of scoring containers: CPU, memory and local disk of the node.

https://kubernetes.io/docs/concepts/configuration/manage-resources-containers/
"""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal
from typing import Final

from modelyard.api.service import CPU, MEMORY, ServiceSpec
from modelyard.kube.quantity import format_quantity, parse_quantity
from modelyard.kube.types import Json
from modelyard.settings import ScoringSettings

DISK: Final = "ephemeral-storage"
_LOG_SPACE: Final = "1Gi"
"""Space for container logs, which count toward the limit. A kubelet keeps 5 files of 10 MiB by default:
https://kubernetes.io/docs/concepts/cluster-administration/logging/#log-rotation"""


def reservation(spec: ServiceSpec) -> dict[str, str]:
    """Return the requests of CPU and memory of each replica, by default those of Azure ML."""
    reserved = spec.container_resource_reservation
    return {
        "cpu": str((reserved and reserved.cpu) or CPU),
        "memory": str((reserved and reserved.memory) or MEMORY),
    }


def container_resources(
    spec: ServiceSpec, scoring: ScoringSettings, volumes: Iterable[Json], resources: Json
) -> Json:
    """Return requests and limits of a scoring container with these volumes of the pod.

    `resources` has the limits of the settings and of `spec.pod`, and the requests of `spec.pod`.

    CPU has no limit, so a replica may use idle CPU. Kubernetes would take a limit without a request as the
    request. So the disk has both or none.
    """
    requests = reservation(spec)
    limits: dict[str, str] = {}
    if scoring.memory_limit_factor:
        limits["memory"] = _times(requests["memory"], scoring.memory_limit_factor)
    if disk := resources.get("requests", {}).get(DISK) or scoring.ephemeral_storage_request:
        requests[DISK] = str(disk)
        if space := _disk_space(volumes):
            limits[DISK] = _largest(space, requests[DISK])
    chosen = resources.get("limits", {})
    limits |= {name: _largest(str(limit), requests.get(name)) for name, limit in chosen.items()}
    return {"requests": requests} | ({"limits": limits} if limits else {})


def _times(quantity: str, factor: float) -> str:
    return format_quantity(_value(quantity) * Decimal(str(factor)))


def _largest(limit: str, request: str | None) -> str:
    """Return the limit, or the request if it is larger: the API server refuses a limit below the request."""
    return request if request and _value(request) > _value(limit) else limit


def _disk_space(volumes: Iterable[Json]) -> str | None:
    """Return the disk space that a container needs at most, None if an emptyDir has no size limit.

    An emptyDir in memory counts toward the memory of the container.
    https://kubernetes.io/docs/concepts/configuration/manage-resources-containers/#local-ephemeral-storage
    """
    folders = [volume["emptyDir"] for volume in volumes if "emptyDir" in volume]
    sizes = [folder.get("sizeLimit") for folder in folders if folder.get("medium") != "Memory"]
    if not all(sizes):
        return None
    return format_quantity(sum(map(_value, sizes), start=_value(_LOG_SPACE)))


def _value(quantity: str | int) -> Decimal:
    """Return the value of a quantity that the API server or the settings have validated."""
    value = parse_quantity(quantity)
    if value is None:
        raise ValueError(f"{quantity!r} is not a Kubernetes quantity, such as 512Mi")
    return value
