"""A Service that the activator answers for: its replicas, its held requests, and its wake.

Replicas are asked only while requests wait. A replica gets as many requests at once as it has places. Its own
queue refuses a request after half a second, and here a request may wait longer.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Coroutine
from functools import partial
from typing import Any, Final

from modelyard.activator import metrics
from modelyard.activator.held_requests import HeldRequests
from modelyard.activator.replica import Replica, places_if_ready
from modelyard.api.endpoint_slices import Address, ServiceKey

_ASK_SECONDS: Final = 0.02  # between two questions to a replica that starts
_SLOW_ASK_SECONDS: Final = 0.25  # after the first seconds: init() of this driver takes longer
_FAST_ASKS: Final = 500
_WAKE_SECONDS: Final = 1.0  # between two looks at the number of replicas, while no pod has an address
_SWEEP_SECONDS: Final = 1.0  # between two looks for clients that have left
_MOST_ASKED: Final = 8  # replicas that are asked at the same time
_NO_POD: Final = "it has no pod with an address yet"
_NOT_READY: Final = "its pod is not ready"

Places = Callable[[Address], Awaitable[int | None]]


class Destination:
    """A Service: replicas by address, and the requests that wait for one of them."""

    def __init__(
        self,
        service: ServiceKey,
        held: HeldRequests,
        wake: Callable[[ServiceKey], Awaitable[str]],
        *,
        places: Places = places_if_ready,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ):
        self.service = service
        self.held = held
        self.connections = 0  # also those in flight
        self.wakes = True  # False: numReplicas is 0
        self.cause = _NO_POD  # why the requests wait, for the response at their deadline
        self._wake = wake
        self._places = places
        self._sleep = sleep
        self._replicas: dict[Address, Replica] = {}
        self._tasks: dict[object, asyncio.Task[None]] = {}
        self._since: float | None = None  # of the first request that waits for the first replica

    def set_replicas(self, addresses: frozenset[Address]) -> None:
        """Keep the replicas with these addresses. A request in flight goes on with a removed one."""
        for address in self._replicas.keys() - addresses:
            del self._replicas[address]
        for address in addresses - self._replicas.keys():
            self._replicas[address] = Replica(address)
        self.advance()

    def advance(self) -> None:
        """Give free places to the requests that wait, and start the tasks that such requests need."""
        for replica in sorted(self._replicas.values(), key=lambda one: one.in_flight):
            while replica.free > 0 and self.held.give(replica):
                replica.in_flight += 1
        if not self.held:
            self._since = None
            return
        if not any(replica.places for replica in self._replicas.values()):
            self._since = self._since or time.monotonic()
            self._start("wake", self._wake_until_replica)
        self._start("sweep", self._sweep)
        for replica in [one for one in self._replicas.values() if not one.places][:_MOST_ASKED]:
            self._start(replica, partial(self._ask_until_ready, replica))

    def free(self, replica: Replica, *, is_lost: bool = False) -> None:
        """Free the place of a request in flight. A lost replica is asked before it gets another request."""
        replica.in_flight -= 1
        if is_lost:
            replica.places = 0
        self.advance()

    def close(self) -> None:
        """End the tasks."""
        for task in list(self._tasks.values()):
            task.cancel()

    def _start(self, key: object, work: Callable[[], Coroutine[Any, Any, None]]) -> None:
        running = self._tasks.get(key)
        if running is not None and not running.done():
            return
        task = asyncio.create_task(work())
        self._tasks[key] = task
        task.add_done_callback(lambda _: self._tasks.pop(key) if self._tasks.get(key) is task else None)

    async def _wake_until_replica(self) -> None:
        """Set the number of replicas to 1, and again if it is 0 later: requests still wait."""
        while self.held and not self._replicas:
            self.cause = await self._wake(self.service) or _NO_POD
            await self._sleep(_WAKE_SECONDS)

    async def _ask_until_ready(self, replica: Replica) -> None:
        for number in range(1_000_000):
            if not self.held or self._replicas.get(replica.address) is not replica:
                return
            if places := await self._places(replica.address):
                break
            self.cause = _NOT_READY
            await self._sleep(_ASK_SECONDS if number < _FAST_ASKS else _SLOW_ASK_SECONDS)
        replica.places = places or 0
        if self._since is not None:
            metrics.WAKE_SECONDS.observe(time.monotonic() - self._since)
            self._since = None
        self.advance()

    async def _sweep(self) -> None:
        while self.held:
            await self._sleep(_SWEEP_SECONDS)
            self.held.drop_left()
            self.advance()
