"""The time for which a Service had no request, by the counters of its replicas."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from typing import NamedTuple, Protocol

from modelyard.api.endpoint_slices import Address


class Counters(Protocol):
    """The load of a replica."""

    @property
    def running(self) -> int:
        """Requests that are scored."""

    @property
    def waiting(self) -> int:
        """Requests that wait."""

    @property
    def requests(self) -> int:
        """Requests since the start of the replica."""


Ask = Callable[[Address], Awaitable[Counters | None]]
"""Returns the load of a replica, None if it does not answer."""


class Look(NamedTuple):
    """The requests of each replica at one moment."""

    requests: frozenset[tuple[Address, int]]
    is_quiet: bool  # no request runs or waits, and each replica has answered


async def look(replicas: Iterable[Address], ask: Ask) -> Look:
    """Ask all replicas at once for their counters."""
    addresses = sorted(replicas)
    loads = await asyncio.gather(*(ask(address) for address in addresses))
    known = [(address, load) for address, load in zip(addresses, loads, strict=True) if load is not None]
    return Look(
        frozenset((address, load.requests) for address, load in known),
        len(known) == len(addresses) and all(load.running + load.waiting == 0 for _, load in known),
    )


class Idleness:
    """The last look at a Service, and the time since which nothing has changed."""

    def __init__(self) -> None:
        self._last: Look | None = None
        self._since = 0.0

    def add(self, found: Look, now: float) -> float:
        """Return the seconds without a request until a look. A new or missing replica begins them again."""
        if not found.is_quiet or self._last != found:
            self._since = now
        self._last = found
        return now - self._since
