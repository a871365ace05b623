"""Ports of the activator: a free one for each Service. The EndpointSlices are the only map.

The next port is given out each time, and the first one is random. So a port that was given back stays unused
until the others had their turn. A data plane that is late would lead requests to another Service.
"""

from __future__ import annotations

import random

from modelyard.api import labels
from modelyard.api.endpoint_slices import ActivatorSlice, ServiceKey, port_owner


class NoFreePortError(Exception):
    """All ports of the activator are taken."""


class Ports:
    """The ports of all EndpointSlices of the scaler, and those given out but not seen in a slice yet."""

    def __init__(self, first: int | None = None) -> None:
        """`first` is the number of the first port among those of the activator."""
        count = len(labels.ACTIVATOR_PORTS)
        self._next = random.randrange(count) if first is None else first  # noqa: S311
        self._by_port: dict[int, dict[ServiceKey, ActivatorSlice]] = {}
        self._given: dict[ServiceKey, int] = {}

    def replace(self, before: ActivatorSlice | None, after: ActivatorSlice | None) -> set[ServiceKey]:
        """Take over a change of a slice; return the Services whose port another slice also has."""
        for one, is_added in ((before, False), (after, True)):
            if one is None:
                continue
            claims = self._by_port.setdefault(one.port, {})
            if is_added:
                claims[one.service] = one
                self._given.pop(one.service, None)
            else:
                claims.pop(one.service, None)
            if not claims:
                del self._by_port[one.port]
        found = self._by_port.get(after.port, {}) if after else {}
        return set(found) if len(found) > 1 else set()

    def port_of(self, service: ServiceKey, present: ActivatorSlice | None) -> int:
        """Return the port of a Service: the present one, or a free one if an older slice has it.

        Raises NoFreePortError.
        """
        if present is not None:
            owner = port_owner(self._by_port.get(present.port, {}))
            if owner is None or owner.service == service:
                return present.port
        if service in self._given:
            return self._given[service]
        taken = self._by_port.keys() | set(self._given.values())
        count = len(labels.ACTIVATOR_PORTS)
        for number in range(self._next, self._next + count):
            port = labels.ACTIVATOR_PORTS[number % count]
            if port not in taken:
                self._given[service] = port
                self._next = number + 1
                return port
        raise NoFreePortError

    def forget(self, service: ServiceKey) -> None:
        """Free a port that was given out and never written."""
        self._given.pop(service, None)
