"""The cost of the scaler's collector: replicas of many Services, each asked once in a second.

The replicas are addresses of this machine (127.0.0.0/8) with one server behind them, in a process of its own.
"""

from __future__ import annotations

import asyncio
import multiprocessing
import resource
import time
from multiprocessing.connection import Connection
from typing import Final, NamedTuple, cast

import uvloop

from modelyard.api.resources import CUSTOM_RESOURCES
from modelyard.kube.types import PODS, Json
from modelyard.scaler.collector import Collector
from modelyard.scaler.load_client import LoadClient
from modelyard.scaler.replicas import Replicas
from modelyard.scoring.front.garbage import spare_garbage_collection

SERVICES: Final = 1000
REPLICAS: Final = 3  # of each Service
WARM_UP_SECONDS: Final = 5
_BODY: Final = b'{"running": 1, "waiting": 0, "places": 2, "requests": 7, "ready": true}'
_RESPONSE: Final = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n%b" % (
    len(_BODY),
    _BODY,
)


class Cost(NamedTuple):
    """The cost of the collector."""

    cpu_share: float
    """CPU seconds in a second."""
    requests_per_second: float
    memory_mib: int
    """Largest resident set of the process."""
    oldest_seconds: float
    """Age of the oldest figure at the end."""

    @property
    def cpu_us_of_request(self) -> float:
        """CPU microseconds of a request, which is one replica in one second."""
        return self.cpu_share / self.requests_per_second * 1e6


class _Replica(asyncio.Protocol):
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        self._transport.write(_RESPONSE)


def _serve(port_of: Connection) -> None:
    async def serve() -> None:
        server = await asyncio.get_running_loop().create_server(_Replica, "0.0.0.0", 0, backlog=4096)
        port_of.send(server.sockets[0].getsockname()[1])
        await server.serve_forever()

    uvloop.run(serve())


def measure(seconds: int) -> Cost:
    """Return the cost of asking all replicas for some seconds."""
    context = multiprocessing.get_context("spawn")
    receiver, sender = context.Pipe(duplex=False)
    server = context.Process(target=_serve, args=(sender,), daemon=True)
    server.start()
    try:
        spare_garbage_collection()
        return uvloop.run(_measure(receiver.recv(), seconds))
    finally:
        server.terminate()
        server.join()


async def _measure(port: int, seconds: int) -> Cost:
    client = LoadClient(port)
    collector = Collector(client)
    replicas = Replicas(lambda spec: spec.scales_on_requests, collector.on_replica)
    for number in range(SERVICES):
        replicas.on_service(CUSTOM_RESOURCES["Service"], _service(number), deleted=False)
    for number in range(SERVICES * REPLICAS):
        replicas.on_pod(PODS, _pod(number), deleted=False)
    await asyncio.sleep(WARM_UP_SECONDS)
    cpu, began = time.process_time(), time.monotonic()
    answers = sum(1 for _ in replicas.asked())
    read_before = {replica.key: replica.figures.read_at for replica in replicas.asked()}
    requests = 0
    while time.monotonic() < began + seconds:
        await asyncio.sleep(0.5)
        for replica in replicas.asked():
            requests += replica.figures.read_at != read_before[replica.key]
            read_before[replica.key] = replica.figures.read_at
    elapsed = time.monotonic() - began
    cost = Cost(
        (time.process_time() - cpu) / elapsed,
        requests / elapsed,
        resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
        collector.oldest_seconds(),
    )
    assert answers == SERVICES * REPLICAS
    await collector.close()
    await client.close()
    return cost


def _service(number: int) -> Json:
    metadata = {"namespace": f"team-{number % 50}", "name": f"m-{number}"}
    return {"metadata": metadata, "spec": {"imageId": "m"}}


def _pod(number: int) -> Json:
    service = number // REPLICAS
    labels = {"modelyard.dev/service": f"m-{service}"}
    metadata = {
        "namespace": f"team-{service % 50}",
        "name": f"m-{number}",
        "uid": str(number),
        "labels": labels,
    }
    address = f"127.{1 + number // 62500}.{number // 250 % 250}.{1 + number % 250}"
    return {
        "metadata": metadata,
        "status": {"podIP": address, "conditions": [{"type": "Ready", "status": "True"}]},
    }
