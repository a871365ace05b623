"""`make bench-operator`: N Services of one built image, from apply to all children and status written.

Each size is run twice in one run: with no operator, one process POSTing the same number of the same objects
(the floor), then with the operator. Figures of the operator are its own metrics. Ratios last, figures do not.
"""

from __future__ import annotations

import asyncio
import os
import time
from dataclasses import dataclass
from typing import Any, Final

from tests.bench.operator.image import built_image
from tests.bench.operator.lifecycle import writes_of_a_whole_life
from tests.bench.operator.metrics import Metrics, operator_metrics
from tests.bench.operator.raw import raw_creates
from tests.bench.progress import say
from tests.support.cluster import Kubectl

from modelyard.api.kinds import SERVICE
from modelyard.kube.client import Client
from modelyard.kube.types import CORE_SERVICES, DEPLOYMENTS, OURS, REVISIONS, SECRETS, Json

SIZES: Final = tuple(int(size) for size in os.environ.get("SIZES", "100,1000,3000").split(","))
IDLE_SECONDS: Final = int(os.environ.get("IDLE_SECONDS", "60"))
IN_FLIGHT: Final = 16
CHILDREN: Final = (REVISIONS, SECRETS, DEPLOYMENTS, CORE_SERVICES)


@dataclass(frozen=True)
class Run:
    """One size, with and without the operator."""

    services: int
    raw_per_s: float
    services_per_s: float
    cpu_ms: float
    rss_mb: float
    writes: float

    @property
    def ratio(self) -> float:
        """The operator's rate against the floor's."""
        return self.services_per_s / self.raw_per_s


async def in_parallel(client: Client, bodies: list[Json], resource: Any, namespace: str) -> None:
    """POST objects, IN_FLIGHT at a time."""
    waiting = iter(bodies)

    async def one() -> None:
        for body in waiting:
            await client.create(resource, namespace, body)

    await asyncio.gather(*(one() for _ in range(IN_FLIGHT)))


def services(count: int) -> list[Json]:
    """Services with no replicas: what is measured is the operator and the API server, not the kubelet."""
    return [
        {
            **OURS[SERVICE.name].header(),
            "metadata": {"name": f"made-{index}"},
            "spec": {"imageId": "bench", "numReplicas": 0},
        }
        for index in range(count)
    ]


async def written(client: Client, namespace: str, count: int, started: float) -> float:
    """Seconds until every Service has its end state; children come before it."""
    while True:
        items = await client.list_all(OURS[SERVICE.name], namespace)
        if sum(item.get("status", {}).get("state") == "Succeeded" for item in items) == count:
            return time.monotonic() - started
        if time.monotonic() - started > 60 + count:
            raise SystemExit(f"only some of {count} Services came to their end in {60 + count} s")
        await asyncio.sleep(max(0.25, count / 600))  # a list of all is work for the API server too


async def operated(client: Client, count: int) -> tuple[float, Metrics, Metrics]:
    """Seconds for `count` Services, and the operator's metrics before and after."""
    namespace = f"bench-operator-{count}"
    await built_image(client, namespace)
    before = operator_metrics()
    started = time.monotonic()
    await in_parallel(client, services(count), OURS[SERVICE.name], namespace)
    seconds = await written(client, namespace, count, started)
    for resource in CHILDREN:
        children = await client.list_all(resource, namespace)
        wanted = [child for child in children if "made-" in child["metadata"]["name"]]
        if len(wanted) != count:
            raise SystemExit(f"{len(wanted)} {resource.plural} instead of {count}")
    return seconds, before, operator_metrics()


async def measure(client: Client, count: int) -> Run:
    """Floor, then operator, on an API server that has settled."""
    raw_seconds = await raw_creates(client, f"bench-raw-{count}", count, IN_FLIGHT)
    Kubectl("default")("delete", "namespace", f"bench-raw-{count}", timeout=900)
    seconds, before, after = await operated(client, count)
    return Run(
        services=count,
        raw_per_s=count / raw_seconds,
        services_per_s=count / seconds,
        cpu_ms=(after.cpu_seconds - before.cpu_seconds) / count * 1000,
        rss_mb=after.rss_bytes / 1e6,
        writes=(after.writes - before.writes) / count,
    )


async def main() -> None:
    """All sizes, the largest last; then idle; then one Service's whole life."""
    client = await Client.from_environment()
    runs = []
    for size in SIZES:
        run = await measure(client, size)
        say(
            f"{size:>5} Services: {run.services_per_s:6.1f}/s, floor {run.raw_per_s:6.1f}/s,"
            f" ratio {run.ratio:.2f}; {run.cpu_ms:.1f} ms CPU and {run.writes:.2f} writes a Service;"
            f" {run.rss_mb:.0f} MB"
        )
        runs.append(run)
        if size != SIZES[-1]:
            Kubectl("default")("delete", "namespace", f"bench-operator-{size}", timeout=900)
    await asyncio.sleep(15)
    before = operator_metrics()
    say(f"idle for {IDLE_SECONDS} s at {SIZES[-1]} Services")
    await asyncio.sleep(IDLE_SECONDS)
    after = operator_metrics()
    idle_writes = after.writes - before.writes
    say(
        f"{idle_writes:g} writes,"
        f" {(after.cpu_seconds - before.cpu_seconds) / IDLE_SECONDS * 100:.1f} % of a core"
    )
    Kubectl("default")("delete", "namespace", f"bench-operator-{SIZES[-1]}", timeout=1800)
    life = await writes_of_a_whole_life(client)
    say("writes of a Service with an autoscaler, from apply to serving: " + ", ".join(
        f"{resource} {count:g}" for resource, count in sorted(life.items())
    ))  # fmt: skip
    await client.close()
    largest = runs[-1]
    print(
        f"services_per_s={largest.services_per_s:.1f} writes_per_service={sum(life.values()):.2f}"
        f" ratio_to_raw={largest.ratio:.2f} rss_mb_{largest.services}={largest.rss_mb:.0f}"
        f" idle_writes={idle_writes:g}"
    )


if __name__ == "__main__":
    asyncio.run(main())
