"""The controller of 0 and 1: it adds and removes the activator's EndpointSlices, and scales to 0.

A reconcile reads the present state, so it continues after a restart at any step. The order on the way down:
first the slice, then a pause for the data planes, then a last look at the counters, then 0 replicas. On the
way up the slice stays until the data planes know the ready replica.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from typing import Final

from modelyard.api.endpoint_slices import Address, ServiceKey, activator_slice
from modelyard.api.kinds import SERVICE
from modelyard.api.labels import activator_slice_name
from modelyard.api.owners import Owner
from modelyard.kube.client import Client
from modelyard.kube.errors import AlreadyExists, Conflict, KubeError, NotFound
from modelyard.kube.types import DEPLOYMENTS, ENDPOINT_SLICES, Json, Key
from modelyard.reconcile.workqueue import WorkQueue
from modelyard.scaler.zero import metrics
from modelyard.scaler.zero.idleness import Ask, Idleness, Look, look
from modelyard.scaler.zero.ports import NoFreePortError
from modelyard.scaler.zero.state import ServiceState, ZeroSettings, ZeroState
from modelyard.scaler.zero.strangers import Strangers

_LOG: Final = logging.getLogger(__name__)
WORKERS: Final = 32
SETTLE_SECONDS: Final = 3.0
"""Time in which data planes take over a change of EndpointSlices: kube-proxy needs up to 1 s under load."""
_MAX_DESCENT_SECONDS: Final = 60.0  # from the slice until the replicas are gone
_MOST_LOOKS: Final = 5  # at the counters in one cooldown
_MIN_LOOK_SECONDS: Final = 1.0
_MAX_LOOK_SECONDS: Final = 10.0
_OPEN_SECONDS: Final = 0.05  # between two looks whether an activator has opened a port
_SLOW_OPEN_SECONDS: Final = 5.0  # likewise, after _FAST_OPENS looks
_FAST_OPENS: Final = 40

Connects = Callable[[Address], Awaitable[bool]]
"""Returns whether a port accepts connections."""


class _Descent:
    """The way of a Service from its replicas to none."""

    def __init__(self, started: float, found: Look):
        self.started = started
        self.look = found
        self.opened: float | None = None  # since then the slice has an open port
        self.is_scaled = False


class _Memory:
    """State of one Service that a restart may lose: idle time then begins again."""

    def __init__(self) -> None:
        self.idleness = Idleness()
        self.descent: _Descent | None = None
        self.ready_since: float | None = None
        self.next_look = 0.0
        self.opens = 0  # looks at a port that is still closed


class ZeroController:
    """Reconciles the Services that may have no replica. `ask` and `connects` talk to pods."""

    def __init__(
        self,
        client: Client,
        state: ZeroState,
        ask: Ask,
        connects: Connects,
        *,
        instance: str = "",
        queue: WorkQueue | None = None,
        monotonic: Callable[[], float] = time.monotonic,
    ):
        self.queue = WorkQueue() if queue is None else queue
        self._client = client
        self._state = state
        self._ask = ask
        self._connects = connects
        self._strangers = Strangers(client, instance)
        self._monotonic = monotonic
        self._memory: dict[ServiceKey, _Memory] = {}
        self._is_leading = False

    def changed(self, keys: set[ServiceKey]) -> None:
        """Queue Services, while this process leads."""
        if self._is_leading:
            for key in keys:
                self.queue.add(Key(SERVICE.name, *key))

    async def lead(self) -> None:
        """Reconcile all Services until cancelled."""
        self._is_leading = True
        self._memory.clear()
        self.changed(set(self._state.keys()))
        try:
            await asyncio.gather(*(self._work() for _ in range(WORKERS)))
        finally:
            self._is_leading = False

    async def _work(self) -> None:
        while True:
            key = await self.queue.get()
            try:
                await self.reconcile(ServiceKey(key.namespace, key.name))
                self.queue.forget(key)
            except (Conflict, NotFound):
                self.queue.retry(key)
            except (KubeError, NoFreePortError) as error:
                seconds = self.queue.retry(key)
                metrics.ERRORS.inc()
                _LOG.warning("%s: %s; it is tried again in %.1f s", key, error or "no port is free", seconds)
            finally:
                self.queue.done(key)

    async def reconcile(self, key: ServiceKey) -> None:
        """Bring the EndpointSlice and the number of replicas of a Service one step further."""
        state = self._state.get(key)
        if state.settings is None:  # deleted, or not known: Kubernetes deletes the slice with the Service
            self._memory.pop(key, None)
            self._strangers.forget(key)
            return
        memory = self._memory.setdefault(key, _Memory())
        self._follow_readiness(memory, state)
        await self._strangers.see(key, state.settings.uid, state.strange)
        if memory.descent is not None:
            await self._descend(key, state, state.settings, memory, memory.descent)
        elif not state.ready:
            if state.settings.sleeps or state.settings.is_off or state.slice is not None:
                await self._write_slice(key, state, state.settings)
        elif state.slice is not None:
            await self._leave_slice(key, state, memory)
        elif state.settings.sleeps:
            await self._look_for_requests(key, state, state.settings, memory)

    def _follow_readiness(self, memory: _Memory, state: ServiceState) -> None:
        if not state.ready:
            memory.ready_since = None
            memory.idleness = Idleness()
        elif memory.ready_since is None:
            memory.ready_since = self._monotonic()

    # --- up

    async def _leave_slice(self, key: ServiceKey, state: ServiceState, memory: _Memory) -> None:
        """Remove the slice once the data planes know the ready replica."""
        left = (memory.ready_since or 0.0) + SETTLE_SECONDS - self._monotonic()
        if left > 0:
            self._again(key, left)
        else:
            await self._client.delete(ENDPOINT_SLICES, key.namespace, activator_slice_name(key.name))
            self._again(key, _MIN_LOOK_SECONDS)

    # --- down

    async def _look_for_requests(
        self, key: ServiceKey, state: ServiceState, settings: ZeroSettings, memory: _Memory
    ) -> None:
        """Begin the way down if there was no request for the cooldown."""
        now = self._monotonic()
        if now < memory.next_look:
            self._again(key, memory.next_look - now)
            return
        found = await look(state.ready, self._ask)
        idle = memory.idleness.add(found, self._monotonic())
        if idle >= settings.cooldown_seconds and self._state.activators:
            memory.descent = _Descent(self._monotonic(), found)
            await self._descend(key, self._state.get(key), settings, memory, memory.descent)
            return
        pause = min(max(settings.cooldown_seconds / _MOST_LOOKS, _MIN_LOOK_SECONDS), _MAX_LOOK_SECONDS)
        pause = min(pause, max(settings.cooldown_seconds - idle, _MIN_LOOK_SECONDS))
        memory.next_look = self._monotonic() + pause
        self._again(key, pause)

    async def _descend(
        self,
        key: ServiceKey,
        state: ServiceState,
        settings: ZeroSettings,
        memory: _Memory,
        descent: _Descent,
    ) -> None:
        now = self._monotonic()
        is_over = not state.ready or not settings.sleeps or now - descent.started > _MAX_DESCENT_SECONDS
        if is_over:
            memory.descent = None
            await self.reconcile(key)
        elif descent.is_scaled:
            self._again(key, descent.started + _MAX_DESCENT_SECONDS - now + 1)
        elif not await self._write_slice(key, state, settings):
            descent.opened = None
        elif descent.opened is None:
            descent.opened = now
            self._again(key, SETTLE_SECONDS)
        elif now - descent.opened < SETTLE_SECONDS:
            self._again(key, descent.opened + SETTLE_SECONDS - now)
        elif await look(state.ready, self._ask) != descent.look:
            memory.descent = None
            memory.idleness = Idleness()
            await self.reconcile(key)
        else:
            await self._scale_to_zero(key)
            descent.is_scaled = True
            self._again(key, _MAX_DESCENT_SECONDS)

    async def _scale_to_zero(self, key: ServiceKey) -> None:
        """Set the number of replicas to 0, unless somebody else sets a number at the same time."""
        scale = await self._client.get(DEPLOYMENTS, key.namespace, key.name, "scale")
        if scale.get("spec", {}).get("replicas", 0) == 0:
            return
        version = scale["metadata"]["resourceVersion"]
        patch: Json = {"metadata": {"resourceVersion": version}, "spec": {"replicas": 0}}
        await self._client.patch(DEPLOYMENTS, key.namespace, key.name, patch, "scale")
        metrics.SLEEPS.inc()
        _LOG.info("%s/%s: scaled to 0 after its cooldown without a request", *key)

    # --- the slice

    async def _write_slice(self, key: ServiceKey, state: ServiceState, settings: ZeroSettings) -> bool:
        """Write the slice as it must be; return whether an activator has the port open.

        A pod of the activator is `ready: false` until its port accepts a connection: data planes must not
        send requests there before.
        """
        port = self._state.ports.port_of(key, state.slice)
        present = state.slice if state.slice and state.slice.port == port else None
        known = dict(present.hosts) if present else {}
        hosts = {host: known.get(host, False) for host in self._state.activators}
        if present is None:
            await self._write(key, settings, port, dict.fromkeys(hosts, False), state)
            self._again(key, _OPEN_SECONDS)
            return False
        closed = [host for host, is_open in hosts.items() if not is_open]
        answers = await asyncio.gather(*(self._connects(Address(host, port)) for host in closed))
        hosts |= dict(zip(closed, answers, strict=True))
        if frozenset(hosts.items()) != present.hosts or present.wakes == settings.is_off:
            await self._write(key, settings, port, hosts, state)
        self._look_again_for_closed(key, hosts)
        return any(hosts.values())

    def _look_again_for_closed(self, key: ServiceKey, hosts: dict[str, bool]) -> None:
        memory = self._memory[key]
        memory.opens = 0 if all(hosts.values()) else memory.opens + 1
        if memory.opens:
            self._again(key, _OPEN_SECONDS if memory.opens < _FAST_OPENS else _SLOW_OPEN_SECONDS)

    async def _write(
        self, key: ServiceKey, settings: ZeroSettings, port: int, hosts: dict[str, bool], state: ServiceState
    ) -> None:
        owner = Owner(SERVICE.name, key.name, settings.uid)
        body = activator_slice(owner, port, hosts, wakes=not settings.is_off)
        if state.slice is None:
            try:
                await self._client.create(ENDPOINT_SLICES, key.namespace, body)
            except AlreadyExists as error:
                await self._strangers.check_name(key, settings.uid)
                raise Conflict(str(error), status=409) from error
            return
        body["metadata"]["resourceVersion"] = state.slice.version
        del body["addressType"]  # immutable
        await self._client.patch(ENDPOINT_SLICES, key.namespace, activator_slice_name(key.name), body)

    def _again(self, key: ServiceKey, seconds: float) -> None:
        self.queue.add_after(Key(SERVICE.name, *key), max(seconds, 0.0))
