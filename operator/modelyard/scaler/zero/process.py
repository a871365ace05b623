"""The part of the scaler's process that decides between 0 and 1: watches, leader election, controller."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Iterator

from modelyard.api import labels
from modelyard.api.endpoint_slices import Address
from modelyard.api.service import ServiceSpec
from modelyard.kube.client import Client
from modelyard.kube.leader_election import LeaderElection
from modelyard.kube.reflector import Reflector
from modelyard.kube.types import ENDPOINT_SLICES, ApiResource, Json
from modelyard.replica_client.load import Load
from modelyard.scaler.load_client import LoadClient, LoadError
from modelyard.scaler.settings import ScalerSettings
from modelyard.scaler.zero.controller import ZeroController
from modelyard.scaler.zero.state import ZeroState

_CONNECT_SECONDS = 1.0


class Zero:
    """Watches of EndpointSlices, and the controller in the process that leads."""

    def __init__(self, settings: ScalerSettings, client: Client, loads: LoadClient, lists: asyncio.Semaphore):
        self._loads = loads
        self._state = ZeroState()
        pod = os.environ.get("POD_NAME") or socket.gethostname()
        self._controller = ZeroController(client, self._state, self._ask, connects, instance=pod)
        self.reflectors = list(self._make_reflectors(settings, client, lists))
        lease = f"{settings.service}-zero"
        self._election = LeaderElection(client, settings.namespace, lease, f"{pod}_{os.getpid()}")

    def on_service(self, body: Json, spec: ServiceSpec | None) -> None:
        """Take a change of a Service. `spec` is None if it is deleted or not valid."""
        self._controller.changed({self._state.on_service(body, spec)})

    async def run(self, services: list[Reflector]) -> None:
        """Lead, after the first lists of EndpointSlices and of `services`, or wait for the leader to end."""
        for reflector in [*self.reflectors, *services]:
            await reflector.settled.wait()
        await self._election.run(self._controller.lead)

    def _make_reflectors(
        self, settings: ScalerSettings, client: Client, lists: asyncio.Semaphore
    ) -> Iterator[Reflector]:
        for namespace in settings.namespaces:
            yield Reflector(
                client,
                ENDPOINT_SLICES,
                self._on_slice,
                namespace=namespace,
                selector=labels.SELECTOR,
                lists=lists,
            )
        yield Reflector(
            client,
            ENDPOINT_SLICES,
            self._on_activators,
            namespace=settings.namespace,
            selector=f"{labels.SLICE_SERVICE}={settings.activator_service}",
            lists=lists,
        )

    def _on_slice(self, _: ApiResource, body: Json, deleted: bool) -> None:
        self._controller.changed(self._state.on_slice(body, deleted=deleted))

    def _on_activators(self, _: ApiResource, body: Json, deleted: bool) -> None:
        if self._state.on_activators(body, deleted=deleted):
            self._controller.changed(set(self._state.keys()))

    async def _ask(self, address: Address) -> Load | None:
        try:
            return await self._loads.read(address.host) or await self._loads.read_metrics(address.host)
        except LoadError:
            return None


async def connects(address: Address) -> bool:
    """Return whether a port accepts a connection within a second."""
    try:
        async with asyncio.timeout(_CONNECT_SECONDS):
            _, writer = await asyncio.open_connection(*address)
    except (OSError, TimeoutError):
        return False
    writer.close()
    return True
