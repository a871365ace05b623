"""The load of all replicas: each is asked at the refresh period of its Service."""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections.abc import Awaitable, Callable
from typing import Final, Protocol

from modelyard.backoff import Backoff
from modelyard.replica_client.load import Load
from modelyard.scaler import metrics
from modelyard.scaler.load_client import LoadError
from modelyard.scaler.replicas import Replica

MAX_REQUESTS: Final = 256  # in flight
STALE_SECONDS: Final = 15.0
"""Age from which a figure is no figure, unless the refresh period is longer."""
_STALE_PERIODS: Final = 3

_LOG: Final = logging.getLogger(__name__)
# A pod that does not answer takes a place for its time-out. So it is asked less often.
_BACKOFF: Final = Backoff(first_seconds=1.0, most_seconds=30.0, jitter=0.5)


class Client(Protocol):
    """The requests of the collector."""

    async def read(self, address: str) -> Load | None:
        """Return the load, None if the image has no path for it. Raises LoadError."""

    async def read_metrics(self, address: str) -> Load:
        """Return the load by the metrics. Raises LoadError."""


class Collector:
    """Asks each replica in a task of its own. `on_replica` is the listener of Replicas."""

    def __init__(
        self,
        client: Client,
        *,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        monotonic: Callable[[], float] = time.monotonic,
        now: Callable[[], float] = time.time,
    ) -> None:
        self._client = client
        self._sleep = sleep
        self._monotonic = monotonic
        self._now = now
        self._tasks: dict[Replica, asyncio.Task[None]] = {}
        self._requests = asyncio.Semaphore(MAX_REQUESTS)

    @property
    def replicas(self) -> int:
        """Return the number of replicas that are asked."""
        return len(self._tasks)

    def on_replica(self, replica: Replica, is_asked: bool) -> None:
        """Begin or end to ask a replica."""
        task = self._tasks.pop(replica, None)
        if task is not None:
            task.cancel()
        if is_asked:
            self._tasks[replica] = asyncio.get_running_loop().create_task(self._ask_always(replica))

    def has_figures(self, replica: Replica) -> bool:
        """Return whether the figures of a replica are recent enough to scale by them."""
        limit = max(STALE_SECONDS, _STALE_PERIODS * replica.period_seconds)
        return replica.figures.age(self._monotonic()) <= limit

    def oldest_seconds(self) -> float:
        """Return the age of the oldest figures of all replicas that have some, 0 without replicas."""
        ages = (one.figures.age(self._monotonic()) for one in self._tasks if one.figures.latest)
        return max(ages, default=0.0)

    async def close(self) -> None:
        """End all requests."""
        tasks = list(self._tasks.values())
        self._tasks.clear()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def ask(self, replica: Replica) -> None:
        """Ask a replica once, and keep its figures. Raises LoadError."""
        async with self._requests:
            load = await self._read(replica)
        replica.figures.add(load, self._monotonic(), self._now())

    async def _ask_always(self, replica: Replica) -> None:
        failures = 0
        while True:
            try:
                await self.ask(replica)
            except LoadError as error:
                failures += 1
                metrics.count_request("failed")
                level = logging.WARNING if failures == 1 else logging.DEBUG
                _LOG.log(level, "load of pod %s/%s: %s; it is read again", *replica.key, error)
                await self._sleep(max(replica.period_seconds, _BACKOFF.seconds(failures)))
                continue
            failures = 0
            metrics.count_request("succeeded")
            # The first pause is random, so that replicas that become ready at once take turns.
            await self._sleep(replica.period_seconds * random.uniform(0.9, 1.1))  # noqa: S311

    async def _read(self, replica: Replica) -> Load:
        """Return the load. The first answer decides on the path: older images have no /load."""
        if replica.has_load_path is not False:
            load = await self._client.read(replica.address)
            replica.has_load_path = load is not None
            if load is not None:
                return load
        return await self._client.read_metrics(replica.address)
