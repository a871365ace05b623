"""`make bench-operator`: N Services of one built image, from apply to all children and status written.

Each size is made in parts, so that changes of the machine's speed meet both sides. One part has no operator:
one process POSTs the same objects (the floor). The next part has the operator and reads its metrics.
Compare ratios: figures change with the machine.
Then Services with a public URL are made beside Services without one, if the cluster has a Gateway.
The last part starts an operator beside an API server with 10,000 objects, in processes of their own.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final

from tests.bench.operator import start
from tests.bench.operator.floor import create_all, floor_services
from tests.bench.operator.image import built_image
from tests.bench.operator.lifecycle import writes_of_a_lifecycle
from tests.bench.operator.metrics import Metrics, operator_metrics
from tests.bench.operator.route import costs
from tests.bench.operator.succeeded_services import SucceededServices
from tests.bench.progress import say
from tests.support.cluster import Kubectl

from modelyard.api.kinds import SERVICE
from modelyard.api.resources import CUSTOM_RESOURCES
from modelyard.kube.client import Client
from modelyard.kube.kubeconfig import connect
from modelyard.kube.types import CORE_SERVICES, DEPLOYMENTS, REVISIONS, SECRETS, Json

SIZES: Final = tuple(int(size) for size in os.environ.get("SIZES", "100,1000,3000").split(","))
IDLE_SECONDS: Final = int(os.environ.get("IDLE_SECONDS", "60"))
IN_FLIGHT: Final = 16
PART: Final = 250  # Services of one part
LEAST_PARTS: Final = 3  # parts of a size that is not larger than one part
SETTLE: Final = 3  # seconds after each part, in which controllers finish their work for it
CHILDREN: Final = (REVISIONS, SECRETS, DEPLOYMENTS, CORE_SERVICES)


@dataclass(frozen=True)
class Run:
    """The figures of one size, with and without the operator."""

    size: int
    services: int  # in all parts
    floor_seconds: float
    floor_cpu_seconds: float
    seconds: float
    before: Metrics
    after: Metrics

    @property
    def services_per_s(self) -> float:
        """Return the rate of the operator, in Services per second."""
        return self.services / self.seconds

    @property
    def floor_per_s(self) -> float:
        """Return the rate of the floor, in Services per second."""
        return self.services / self.floor_seconds

    @property
    def ratio(self) -> float:
        """Return the rate of the operator relative to the floor."""
        return self.floor_seconds / self.seconds

    @property
    def cpu_ms(self) -> float:
        """Return the CPU time of the operator, in milliseconds per Service."""
        return (self.after.cpu_seconds - self.before.cpu_seconds) / self.services * 1000

    @property
    def floor_cpu_ms(self) -> float:
        """Return the CPU time of the floor's process, in milliseconds per Service.

        The process only sends requests, so the figure shows the speed of the machine during the run.
        """
        return self.floor_cpu_seconds / self.services * 1000

    @property
    def writes(self) -> float:
        """Return the writes of the operator per Service."""
        return (self.after.writes - self.before.writes) / self.services

    @property
    def rss_mb(self) -> float:
        """Return the memory of the operator at the end, in MB."""
        return self.after.rss_bytes / 1e6


def services(first: int, count: int) -> list[Json]:
    """Return Services with no replicas, which load the operator and the API server, not the kubelet."""
    return [
        {
            **CUSTOM_RESOURCES[SERVICE.name].header(),
            "metadata": {"name": f"made-{index}"},
            "spec": {"imageId": "bench", "numReplicas": 0},
        }
        for index in range(first, first + count)
    ]


async def in_parallel(bodies: list[Json], make: Callable[[Json], Awaitable[object]]) -> None:
    """Create objects, IN_FLIGHT at a time."""
    waiting = iter(bodies)

    async def one() -> None:
        for body in waiting:
            await make(body)

    await asyncio.gather(*(one() for _ in range(IN_FLIGHT)))


async def measure(client: Client, size: int) -> Run:
    """Measure one size: for each part first the floor, then the operator."""
    floor, operated = f"bench-floor-{size}", f"bench-operator-{size}"
    Kubectl("default")("create", "namespace", floor)
    await built_image(client, operated)
    part = min(size, PART)
    count = part * max(size // part, LEAST_PARTS)
    floor_seconds = floor_cpu_seconds = seconds = 0.0
    before = operator_metrics()
    async with SucceededServices(client, operated) as succeeded:
        for first in range(0, count, part):
            bodies = services(first, part)
            started, cpu = time.monotonic(), time.process_time()
            await in_parallel(bodies, lambda body: create_all(client, floor, body))
            floor_seconds += time.monotonic() - started
            floor_cpu_seconds += time.process_time() - cpu
            await asyncio.sleep(SETTLE)
            started = time.monotonic()
            await in_parallel(
                bodies, lambda body: client.create(CUSTOM_RESOURCES[SERVICE.name], operated, body)
            )
            await succeeded.wait_for(first + part)
            seconds += time.monotonic() - started
            await asyncio.sleep(SETTLE)
    after = operator_metrics()
    await check_children(client, operated, count)
    Kubectl("default")("delete", "namespace", floor, timeout=1800)
    return Run(size, count, floor_seconds, floor_cpu_seconds, seconds, before, after)


async def check_children(client: Client, namespace: str, count: int) -> None:
    """Raise SystemExit if a Service lacks a child, because the rate would be invalid."""
    for resource in CHILDREN:
        children = await client.list_all(resource, namespace)
        found = sum("made-" in child["metadata"]["name"] for child in children)
        if found != count:
            raise SystemExit(f"{found} {resource.plural} instead of {count}")


async def idle(size: int) -> float:
    """Return the number of writes of the operator while no object changes."""
    await asyncio.sleep(15)
    before = operator_metrics()
    say(f"idle for {IDLE_SECONDS} s at {size} Services")
    await asyncio.sleep(IDLE_SECONDS)
    after = operator_metrics()
    writes = after.writes - before.writes
    core = (after.cpu_seconds - before.cpu_seconds) / IDLE_SECONDS * 100
    say(f"{writes:g} writes, {core:.1f} % of a core")
    return writes


async def main() -> None:
    """Measure all sizes, the idle operator, and the lifecycle of a Service."""
    client = await connect()
    runs = []
    async with floor_services():
        for size in SIZES:
            run = await measure(client, size)
            say(
                f"{size:>5} Services: {run.services_per_s:6.1f}/s, floor {run.floor_per_s:6.1f}/s,"
                f" ratio {run.ratio:.2f}; {run.cpu_ms:.1f} ms CPU, floor {run.floor_cpu_ms:.1f} ms,"
                f" and {run.writes:.2f} writes per Service; {run.rss_mb:.0f} MB"
            )
            runs.append(run)
            if size != SIZES[-1]:
                Kubectl("default")("delete", "namespace", f"bench-operator-{size}", timeout=900)
        idle_writes = await idle(SIZES[-1])
        Kubectl("default")("delete", "namespace", f"bench-operator-{SIZES[-1]}", timeout=1800)
    writes = await writes_of_a_lifecycle(client)
    say("writes of a Service with an autoscaler, from apply to serving: " + ", ".join(
        f"{resource} {count:g}" for resource, count in sorted(writes.items())
    ))  # fmt: skip
    say("cost of a public URL")
    route = " ".join(f"{name}={figure:.2f}" for name, figure in (await costs(client)).items())
    await client.close()
    say("start of an operator with 10,000 objects")
    starts = start.figures()
    largest = runs[-1]
    print(
        f"services_per_s={largest.services_per_s:.1f} writes_per_service={sum(writes.values()):.2f}"
        f" ratio_to_raw={largest.ratio:.2f} rss_mb_{largest.size}={largest.rss_mb:.0f}"
        f" idle_writes={idle_writes:g} {starts} {route}"
    )


if __name__ == "__main__":
    asyncio.run(main())
