"""An activator on loopback, with replicas that are real sockets, and clients."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from modelyard.activator.activator import Activator
from modelyard.activator.settings import ActivatorSettings
from modelyard.api import endpoint_slices as endpoints
from modelyard.api import labels
from modelyard.kube.types import ENDPOINT_SLICES

NAMESPACE, NAME = "team", "m"
SECONDS = 20.0  # for a step of a test, on a busy machine

Answer = Callable[[asyncio.StreamReader, asyncio.StreamWriter, bytes], Awaitable[None]]


async def respond(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, head: bytes) -> None:
    """Respond at once, and close."""
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok")


@dataclass
class FakeReplica:
    """A replica: /load says whether it is ready, and other requests get `answer`."""

    answer: Answer = respond
    is_ready: bool = True
    places: int = 1000
    has_load: bool = True
    heads: list[bytes] = field(default_factory=list)
    most_at_once: int = 0
    at_once: int = 0
    server: asyncio.Server | None = None

    async def start(self) -> int:
        self.server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        return self.port

    @property
    def port(self) -> int:
        assert self.server
        return self.server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        if self.server:
            self.server.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            head = await reader.readuntil(b"\r\n\r\n")
            if head.startswith((b"GET /load ", b"GET /ready ")):
                writer.write(self._state(head))
            else:
                self.heads.append(head)
                self.at_once += 1
                self.most_at_once = max(self.most_at_once, self.at_once)
                try:
                    await self.answer(reader, writer, head)
                finally:
                    self.at_once -= 1
            await writer.drain()
        writer.close()

    def _state(self, head: bytes) -> bytes:
        if head.startswith(b"GET /load ") and not self.has_load:
            return b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n"
        if head.startswith(b"GET /ready "):
            return b"HTTP/1.1 %d OK\r\nContent-Length: 0\r\n\r\n" % (200 if self.is_ready else 503)
        load = {"running": 0, "waiting": 0, "places": self.places, "requests": 0, "ready": self.is_ready}
        body = json.dumps(load).encode()
        return b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def activator_slice(
    port: int, *, name: str = NAME, namespace: str = NAMESPACE, created: str = "", wakes: bool = True
) -> dict[str, Any]:
    """Return the EndpointSlice that the scaler writes for a Service."""
    return {
        "metadata": {
            "name": labels.activator_slice_name(name),
            "namespace": namespace,
            "creationTimestamp": created,
            "labels": {labels.SLICE_SERVICE: name, labels.SLICE_MANAGED_BY: labels.SLICE_MANAGER},
            "annotations": {labels.ACTIVATION: labels.ACTIVATION_WAKE if wakes else labels.ACTIVATION_NONE},
        },
        "addressType": "IPv4",
        "endpoints": [{"addresses": ["10.0.0.1"], "conditions": {"ready": True}}],
        "ports": [{"name": "http", "port": port}],
    }


def replica_slice(
    port: int, *, name: str = NAME, ready: bool = False, terminating: bool = False, host: str = "127.0.0.1"
) -> dict[str, Any]:
    """Return the EndpointSlice of Kubernetes with one replica."""
    conditions = {"ready": ready, "serving": ready, "terminating": terminating}
    return {
        "metadata": {
            "name": f"{name}-x7k2p",
            "namespace": NAMESPACE,
            "labels": {
                labels.SLICE_SERVICE: name,
                labels.SLICE_MANAGED_BY: labels.KUBERNETES_SLICE_MANAGER,
            },
        },
        "addressType": "IPv4",
        "endpoints": [{"addresses": [host], "conditions": conditions}],
        "ports": [{"name": "http", "port": port}],
    }


@dataclass
class Rig:
    """An activator with one sleeping Service."""

    activator: Activator
    port: int
    wakes: list[endpoints.ServiceKey]
    woken: asyncio.Event

    def see(self, body: dict[str, Any], *, deleted: bool = False) -> None:
        self.activator.on_slice(ENDPOINT_SLICES, body, deleted)

    async def connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        return await asyncio.open_connection("127.0.0.1", self.port)

    async def ask(self, request: bytes = b"GET /score HTTP/1.1\r\nHost: m\r\n\r\n") -> bytes:
        """Send bytes, and return all bytes of the response."""
        reader, writer = await self.connect()
        try:
            writer.write(request)
            async with asyncio.timeout(SECONDS):
                return await reader.read()
        finally:
            writer.close()


@asynccontextmanager
async def rig(
    monkeypatch: Any, *, cause: str = "", wakes: bool = True, **settings: Any
) -> AsyncIterator[Rig]:
    """Start an activator whose only Service has a port of its own."""
    port = free_port()
    monkeypatch.setattr(labels, "ACTIVATOR_PORTS", range(1024, 65536))
    calls: list[endpoints.ServiceKey] = []
    woken = asyncio.Event()

    async def wake(service: endpoints.ServiceKey) -> str:
        calls.append(service)
        woken.set()
        return cause

    activator = Activator(ActivatorSettings(**settings), wake, host="127.0.0.1")
    one = Rig(activator, port, calls, woken)
    one.see(activator_slice(port, wakes=wakes))
    try:
        yield one
    finally:
        await activator.close()


async def until(condition: Callable[[], bool]) -> None:
    """Wait until a condition holds."""
    async with asyncio.timeout(SECONDS):
        while not condition():
            await asyncio.sleep(0.005)
