"""The state of an activator: Services by port and by name, from EndpointSlices, and their connections."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
from collections.abc import Awaitable, Callable, Collection
from typing import Final

from modelyard.activator import metrics
from modelyard.activator.connection import Deadlines, serve
from modelyard.activator.destination import Destination
from modelyard.activator.held_requests import Budget, HeldRequests
from modelyard.activator.ports import Ports
from modelyard.activator.settings import ActivatorSettings
from modelyard.api.endpoint_slices import (
    ActivatorSlice,
    Address,
    Replicas,
    ServiceKey,
    port_owner,
    read_slice,
)
from modelyard.kube.types import ApiResource, Json

_LOG: Final = logging.getLogger(__name__)
_NONE: Final[frozenset[Address]] = frozenset()


class Activator:
    """Holds the requests to Services without a replica, by the EndpointSlices that a reflector passes."""

    def __init__(
        self,
        settings: ActivatorSettings,
        wake: Callable[[ServiceKey], Awaitable[str]],
        *,
        host: str = "",
    ):
        self._settings = settings
        self._wake = wake
        self._deadlines = Deadlines(settings.head_seconds, settings.wake_seconds)
        self._budget = Budget(settings.held)
        self._ports = Ports(self._accept, host)
        self._slices: dict[ServiceKey, ActivatorSlice] = {}  # by namespace and name of the slice
        self._replicas: dict[ServiceKey, Replicas] = {}  # likewise
        self._by_service: dict[ServiceKey, dict[ServiceKey, frozenset[Address]]] = {}
        self._claims: dict[int, dict[ServiceKey, ActivatorSlice]] = {}  # by port, then as in _slices
        self._owners: dict[int, ActivatorSlice] = {}
        self._leaving: dict[int, asyncio.TimerHandle] = {}  # ports without a slice, which are still open
        self._destinations: dict[ServiceKey, Destination] = {}
        self._connections: set[asyncio.Task[None]] = set()
        self._has_changed = asyncio.Event()  # a slice
        self._are_done = asyncio.Event()  # after `stop`: all connections have ended
        self._is_stopping = False

    def on_slice(self, _: ApiResource, body: Json, is_deleted: bool) -> None:
        """Take over an EndpointSlice that was added, changed or deleted."""
        metadata = body["metadata"]
        name = ServiceKey(metadata.get("namespace", ""), metadata["name"])
        found = None if is_deleted else read_slice(body)
        self._set_replicas(name, found if isinstance(found, Replicas) else None)
        port = found if isinstance(found, ActivatorSlice) else None
        before = self._slices.pop(name, None)
        if before is not None:
            del self._claims[before.port][name]
        if port is not None:
            self._slices[name] = port
            self._claims.setdefault(port.port, {})[name] = port
        for number in {one.port for one in (before, port) if one is not None}:
            self._set_port(number)
        self._has_changed.set()

    async def left(self, hosts: Collection[str], seconds: float) -> None:
        """Wait until no EndpointSlice sends requests to one of some IP addresses, at most some seconds."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                while any((host, True) in one.hosts for one in self._slices.values() for host in hosts):
                    self._has_changed.clear()
                    await self._has_changed.wait()

    def stop(self) -> None:
        """Accept no more connections. The held ones stay until a replica takes them, or their deadline."""
        self._is_stopping = True
        self._ports.close()
        self._end()

    async def drained(self) -> None:
        """Wait until all connections have ended after `stop`."""
        await self._are_done.wait()

    async def close(self) -> None:
        """End all connections."""
        self.stop()
        for timer in self._leaving.values():
            timer.cancel()
        for task in list(self._connections):
            task.cancel()
        for destination in self._destinations.values():
            destination.close()
        await asyncio.gather(*self._connections, return_exceptions=True)

    def _set_replicas(self, slice_name: ServiceKey, found: Replicas | None) -> None:
        before = self._replicas.get(slice_name)
        if before == found:
            return
        if before is not None:
            del self._replicas[slice_name]
            del self._by_service[before.service][slice_name]
        if found is not None:
            self._replicas[slice_name] = found
            self._by_service.setdefault(found.service, {})[slice_name] = found.addresses
        for service in {one.service for one in (before, found) if one is not None}:
            if not self._by_service.get(service):
                self._by_service.pop(service, None)
            if service in self._destinations:
                self._destinations[service].set_replicas(self._addresses(service))

    def _addresses(self, service: ServiceKey) -> frozenset[Address]:
        return _NONE.union(*self._by_service.get(service, {}).values())

    def _set_port(self, port: int) -> None:
        """Open the port of a slice. A port without a slice stays open until all data planes have followed."""
        owner = port_owner(self._claims[port])
        if timer := self._leaving.pop(port, None):
            timer.cancel()
        if owner is None:
            del self._claims[port]
            loop = asyncio.get_running_loop()
            self._leaving[port] = loop.call_later(self._settings.leave_seconds, self._shut, port)
        else:
            self._owners[port] = owner
            if owner.service in self._destinations:
                self._destinations[owner.service].wakes = owner.wakes
            if not self._is_stopping:
                self._ports.open(port)
        metrics.PORTS.set(len(self._ports))

    def _shut(self, port: int) -> None:
        del self._leaving[port]
        del self._owners[port]
        self._ports.shut(port)
        metrics.PORTS.set(len(self._ports))

    def _accept(self, port: int, client: socket.socket) -> None:
        owner = self._owners.get(port)
        if owner is None:
            client.close()
            return
        task = asyncio.create_task(serve(client, self._destination(owner), self._deadlines))
        self._connections.add(task)
        task.add_done_callback(lambda done: self._on_end(done, owner.service))

    def _destination(self, port: ActivatorSlice) -> Destination:
        destination = self._destinations.get(port.service)
        if destination is None:
            held = HeldRequests(self._settings.held_per_service, self._budget)
            destination = Destination(port.service, held, self._wake)
            destination.wakes = port.wakes
            self._destinations[port.service] = destination
            destination.set_replicas(self._addresses(port.service))
        destination.connections += 1
        return destination

    def _on_end(self, task: asyncio.Task[None], service: ServiceKey) -> None:
        """Forget the state of a Service without connections: the replicas are asked again next time."""
        self._connections.discard(task)
        if not task.cancelled() and (error := task.exception()):
            _LOG.error("a connection to %s/%s failed", *service, exc_info=error)
        destination = self._destinations[service]
        destination.connections -= 1
        if not destination.connections:
            destination.close()
            del self._destinations[service]
        self._end()

    def _end(self) -> None:
        if self._is_stopping and not self._connections:
            self._are_done.set()
