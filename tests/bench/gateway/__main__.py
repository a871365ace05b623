"""Reads and creates through the gateway beside the API server's own, and pages of many models.

`GATEWAY_URL` names the gateway, otherwise it is the installed one. KUBECONFIG leads to the cluster. The
bench records `--models` versions as the operator would, for pages at the beginning, in the middle and
at the end.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import statistics
import time
import uuid
from collections.abc import Awaitable, Callable

import aiohttp
from tests.bench.progress import say
from tests.support.cluster import OPERATOR_NAMESPACE, Kubectl, port_forward
from yarl import URL

from modelyard.api.owners import Owner
from modelyard.api.resources import CUSTOM_RESOURCES
from modelyard.kube.client import Client
from modelyard.kube.errors import AlreadyExists
from modelyard.kube.kubeconfig import connect
from modelyard.kube.types import REVISIONS
from modelyard.resources.revision import controller_revision

_QUERY = {"api-version": "2017-09-01-preview"}
_MODELS = CUSTOM_RESOURCES["Model"]


async def rate(count: int, in_flight: int, one: Callable[[int], Awaitable[object]]) -> float:
    """Return the calls per second, with `in_flight` calls at a time."""
    numbers = iter(range(count))

    async def work() -> None:
        for number in numbers:
            await one(number)

    started = time.perf_counter()
    await asyncio.gather(*(work() for _ in range(in_flight)))
    return count / (time.perf_counter() - started)


def _model(name: str) -> dict[str, object]:
    spec = {"url": "https://example.com/m", "mimeType": "text/plain"}
    return {**_MODELS.header(), "metadata": {"name": name}, "spec": spec}


async def fill(client: Client, namespace: str, count: int, in_flight: int) -> None:
    """Create a Model with `count` versions, recorded in the form of the operator."""
    owner_body = await client.create(_MODELS, namespace, _model("many"))
    owner = Owner("Model", "many", owner_body["metadata"]["uid"])

    async def record(number: int) -> None:
        data = {"url": f"https://example.com/{number}", "mimeType": "text/plain"}
        with contextlib.suppress(AlreadyExists):  # a repeated call
            await client.create(REVISIONS, namespace, controller_revision(owner, number + 2, data, {}))

    await rate(count, in_flight, record)


async def pages(http: aiohttp.ClientSession, url: str, size: int = 100) -> list[float]:
    """Return the milliseconds of each page."""
    durations: list[float] = []
    link: URL | None = URL(url).with_query(_QUERY | {"count": str(size)})
    while link:
        started = time.perf_counter()
        async with http.get(link) as response:
            body = await response.json()
        durations.append((time.perf_counter() - started) * 1000)
        link = URL(body["nextLink"], encoded=True) if "nextLink" in body else None
    return durations


async def bench(gateway: str, token: str, namespace: str, arguments: argparse.Namespace) -> None:
    """Measure creates, reads and pages in a namespace that the caller deletes."""
    client = await connect()
    root = f"{gateway}/api/subscriptions/-/resourceGroups/-/accounts/{namespace}/models"
    calls, in_flight = arguments.calls, arguments.in_flight
    async with aiohttp.ClientSession(
        headers={"Authorization": f"Bearer {token}"},
        connector=aiohttp.TCPConnector(ssl=False, limit=in_flight),
        timeout=aiohttp.ClientTimeout(total=30),
        raise_for_status=True,
    ) as http:

        async def create(number: int) -> None:
            body = {"name": f"rest-{number}", "url": "https://example.com/m", "mimeType": "text/plain"}
            async with http.post(root, params=_QUERY, json=body) as response:
                await response.read()

        async def read(number: int) -> None:
            id_ = f"rest-{number % min(50, calls)}:1"
            async with http.get(f"{root}/{id_}", params=_QUERY) as response:
                await response.read()

        creates = await rate(calls, in_flight, create)
        raw = await rate(calls, in_flight, lambda n: client.create(_MODELS, namespace, _model(f"raw-{n}")))
        say(f"creates/s gateway={creates:.0f} api_server={raw:.0f} (gateway: until the version is recorded)")
        reads = await rate(calls * 4, in_flight, read)
        name = "model-rest-0-1"
        raw = await rate(calls * 4, in_flight, lambda _: client.get(REVISIONS, namespace, name))
        say(f"reads/s gateway={reads:.0f} api_server={raw:.0f}")
        await fill(client, namespace, arguments.models, in_flight)
        durations = await pages(http, root)
        third = len(durations) // 3
        parts = (durations[:third], durations[third:-third], durations[-third:])
        medians = " ".join(f"{statistics.median(part):.0f}" for part in parts if part)
        say(f"pages of 100: {len(durations)}, median ms of the first, middle and last third: {medians}")
    await client.close()


def installed_gateway(kubectl: Kubectl) -> contextlib.AbstractContextManager[str]:
    """Return the URL of the installed gateway: its node port, or else a port-forward, which is slower."""
    spec = kubectl.get("service", "modelyard-gateway")["spec"]
    port = spec["ports"][0].get("nodePort")
    if port is None:
        return port_forward(OPERATOR_NAMESPACE, "service/modelyard-gateway", 443)
    addresses = kubectl.list("nodes")[0]["status"]["addresses"]
    host = next(item["address"] for item in addresses if item["type"] == "InternalIP")
    return contextlib.nullcontext(f"http://{host}:{port}")


def peak_memory(kubectl: Kubectl) -> list[int]:
    """Return the peak memory of each gateway, in MiB."""
    found = []
    for pod in kubectl.list("pods", "app.kubernetes.io/name=modelyard-gateway"):
        text = kubectl("exec", pod["metadata"]["name"], "--", "cat", "/proc/1/status")
        found.append(next(int(line.split()[1]) // 1024 for line in text.splitlines() if "VmHWM" in line))
    return found


def main() -> None:
    """Run the benchmark in a new namespace."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--calls", type=int, default=500)
    parser.add_argument("--in-flight", type=int, default=16)
    parser.add_argument("--models", type=int, default=10_000)
    arguments = parser.parse_args()
    kubectl = Kubectl(f"bench-{uuid.uuid4().hex[:8]}")
    kubectl("create", "namespace", kubectl.namespace)
    try:
        kubectl("create", "serviceaccount", "bench")
        kubectl(
            "create",
            "rolebinding",
            "bench",
            "--clusterrole=edit",
            f"--serviceaccount={kubectl.namespace}:bench",
        )
        token = kubectl("create", "token", "bench").strip()
        system = Kubectl(OPERATOR_NAMESPACE)
        configured = os.environ.get("GATEWAY_URL")
        with contextlib.nullcontext(configured) if configured else installed_gateway(system) as url:
            gateway = url if configured else url.replace("http:", "https:")
            asyncio.run(bench(gateway, token, kubectl.namespace, arguments))
        if not configured:
            say(f"peak memory in MiB of each gateway: {peak_memory(system)}")
    finally:
        kubectl("delete", "namespace", kubectl.namespace, "--wait=false")


if __name__ == "__main__":
    main()
