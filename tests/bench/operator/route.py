"""Cost of a public URL: Services with a route beside Services without one, by the same operator.

The release gets the Gateway of the local cluster for the time of the measurement. Parts with and without
routes alternate, so that changes of the machine's speed meet both sides.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final, NamedTuple

import yaml
from tests.bench.operator.image import built_image
from tests.bench.operator.lifecycle import writes_of_a_lifecycle
from tests.bench.operator.metrics import operator_metrics
from tests.bench.operator.succeeded_services import SucceededServices
from tests.bench.progress import say
from tests.support.cluster import ROOT, Json, Kubectl
from tests.support.release import changed_values

from modelyard.api.kinds import SERVICE
from modelyard.api.resources import CUSTOM_RESOURCES
from modelyard.kube.client import Client

_VALUES: Final = ROOT / "tests" / "cluster" / "routing.yaml"
_VARIANTS: Final = {"bench-plain": False, "bench-route": True}
"""Namespaces, and whether their Services have a route."""
_PARTS: Final = 4
_SERVICES: Final = 150  # of one part
_SETTLE: Final = 5  # seconds after a part, in which the data plane reports on all routes
_IN_FLIGHT: Final = 16


class Cost(NamedTuple):
    """Writes and CPU milliseconds of the operator per Service."""

    writes: float
    cpu_ms: float


@contextmanager
def _routing() -> Iterator[None]:
    """Services with `route.enabled` have a public URL at the Gateway of HTTPS_GATEWAY."""
    namespace, _, name = os.environ["HTTPS_GATEWAY"].partition("/")
    routing: Json = yaml.safe_load(_VALUES.read_text(encoding="utf-8"))["routing"]
    routing |= {"enabled": False, "gateway": {"namespace": namespace, "name": name}}
    with changed_values({"routing": routing}):
        yield


async def costs(client: Client) -> dict[str, float]:
    """Return the figures with and without a route by name, none if the cluster has no Gateway.

    `writes_with_route` is of a Service with pods and an autoscaler, from apply to serving. The CPU times are
    of Services without replicas. Raises SystemExit on a timeout.
    """
    if not os.environ.get("HTTPS_GATEWAY"):
        say("no cost of a route: the cluster has no Gateway")
        return {}
    with _routing():
        for namespace in _VARIANTS:
            await built_image(client, namespace)
        totals = {namespace: Cost(0, 0) for namespace in _VARIANTS}
        for part in range(_PARTS):
            for namespace, has_route in _VARIANTS.items():
                cost = await _part(client, namespace, part, has_route=has_route)
                totals[namespace] = Cost(*map(sum, zip(totals[namespace], cost, strict=True)))
        plain, routed = (
            Cost(*(figure / _PARTS / _SERVICES for figure in total)) for total in totals.values()
        )
        say(
            f"Services without replicas: {plain.writes:.2f} writes and {plain.cpu_ms:.1f} ms CPU without a"
            f" route, {routed.writes:.2f} writes and {routed.cpu_ms:.1f} ms with one"
        )
        writes = await writes_of_a_lifecycle(client, route={"enabled": True})
        for namespace in _VARIANTS:
            Kubectl("default")("delete", "namespace", namespace, timeout=900)
    return {
        "writes_with_route": sum(writes.values()),
        "cpu_ms_without_route": plain.cpu_ms,
        "cpu_ms_with_route": routed.cpu_ms,
    }


async def _part(client: Client, namespace: str, part: int, *, has_route: bool) -> Cost:
    """Create the Services of one part, and return the cost of all of them."""
    before = operator_metrics()
    numbers = iter(range(part * _SERVICES, (part + 1) * _SERVICES))
    async with SucceededServices(client, namespace) as succeeded:

        async def create() -> None:
            for number in numbers:
                body = CUSTOM_RESOURCES[SERVICE.name].header() | {
                    "metadata": {"name": f"made-{number}"},
                    "spec": {"imageId": "bench", "numReplicas": 0, "route": {"enabled": has_route}},
                }
                await client.create(CUSTOM_RESOURCES[SERVICE.name], namespace, body)

        await asyncio.gather(*(create() for _ in range(_IN_FLIGHT)))
        await succeeded.wait_for((part + 1) * _SERVICES)
        await asyncio.sleep(_SETTLE)
    after = operator_metrics()
    return Cost(after.writes - before.writes, (after.cpu_seconds - before.cpu_seconds) * 1000)
