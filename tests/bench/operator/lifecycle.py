"""Writes of Services with an autoscaler and pods, from apply to serving."""

from __future__ import annotations

import asyncio
from typing import Final

from tests.bench.operator.image import built_image
from tests.bench.operator.metrics import operator_metrics
from tests.support.cluster import Kubectl

from modelyard.api.kinds import SERVICE
from modelyard.api.resources import CUSTOM_RESOURCES
from modelyard.kube.client import Client
from modelyard.kube.types import Json

_NAMESPACE: Final = "bench-life"
_COUNT: Final = 10
_SPEC: Final[Json] = {
    "imageId": "bench",
    "autoScaler": {"autoscaleEnabled": True, "maxReplicas": 1},  # a second replica would add writes
    "containerResourceReservation": {"cpu": "10m", "memory": "64Mi"},
}


async def writes_of_a_lifecycle(client: Client, **spec: object) -> dict[str, float]:
    """Return the writes per Service by resource, with further fields in the spec of each Service.

    Raises SystemExit on a timeout.
    """
    await built_image(client, _NAMESPACE)
    before = operator_metrics()
    for index in range(_COUNT):
        body = {
            **CUSTOM_RESOURCES[SERVICE.name].header(),
            "metadata": {"name": f"life-{index}"},
            "spec": _SPEC | spec,
        }
        await client.create(CUSTOM_RESOURCES[SERVICE.name], _NAMESPACE, body)
    for _ in range(300):
        services = await client.list_all(CUSTOM_RESOURCES[SERVICE.name], _NAMESPACE)
        if all(item.get("status", {}).get("state") == "Succeeded" for item in services):
            break
        await asyncio.sleep(1)
    else:
        raise SystemExit("not every Service succeeded within 300 s")
    await asyncio.sleep(5)
    after = operator_metrics()
    Kubectl("default")("delete", "namespace", _NAMESPACE, timeout=600)
    return {
        resource: (count - before.writes_by_resource.get(resource, 0)) / _COUNT
        for resource, count in after.writes_by_resource.items()
        if count > before.writes_by_resource.get(resource, 0)
    }
