"""EndpointSlices as the activator reads them: the port of each Service without a replica, and replicas.

The EndpointSlice that the scaler writes is the only map from ports to Services. The others of the same core
Service have its replicas, also those that are not ready yet.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, NamedTuple

from modelyard.api import labels
from modelyard.kube.types import Json

_IP_TYPES: Final = frozenset({"IPv4", "IPv6"})


class ServiceKey(NamedTuple):
    """Namespace and name of a Service."""

    namespace: str
    name: str


class Address(NamedTuple):
    """The IP address and the port of a replica."""

    host: str
    port: int


class ActivatorPort(NamedTuple):
    """The port of the activator for one Service; `wakes` is False if numReplicas is 0."""

    service: ServiceKey
    port: int
    wakes: bool
    created: str  # the older one of two slices with the same port counts


class Replicas(NamedTuple):
    """The replicas of a Service that one EndpointSlice has, and their number with `ready: true`."""

    service: ServiceKey
    addresses: frozenset[Address]


def read_slice(body: Json) -> ActivatorPort | Replicas | None:
    """Return the content of an EndpointSlice, None if it has neither a port of the activator nor replicas."""
    metadata = body["metadata"]
    found: Json = metadata.get("labels") or {}
    name = found.get(labels.SLICE_SERVICE)
    ports = [port for port in body.get("ports") or () if port.get("name") == labels.PORT_NAME]
    if not name or not ports or body.get("addressType") not in _IP_TYPES:
        return None
    service, port = ServiceKey(metadata.get("namespace", ""), name), int(ports[0].get("port") or 0)
    if found.get(labels.SLICE_MANAGED_BY) != labels.SLICE_MANAGER:
        return Replicas(service, _addresses(body, port))
    if port not in labels.ACTIVATOR_PORTS:
        return None
    mode = (metadata.get("annotations") or {}).get(labels.ACTIVATION)
    created = str(metadata.get("creationTimestamp", ""))
    return ActivatorPort(service, port, mode != labels.ACTIVATION_NONE, created)


def _addresses(body: Json, port: int) -> frozenset[Address]:
    """Return the addresses of replicas that do not end. `serving` of one that starts is false, too."""
    return frozenset(
        Address(address, port)
        for endpoint in body.get("endpoints") or ()
        if not (endpoint.get("conditions") or {}).get("terminating")
        for address in endpoint.get("addresses", ())[:1]  # all addresses of an endpoint are the same replica
    )


def port_owners(slices: Mapping[ServiceKey, ActivatorPort]) -> dict[int, ActivatorPort]:
    """Return the slice that counts for each port: the oldest one, and of the same second the first by name.

    The API server sets the time of creation. So a slice that somebody else adds takes no port from a Service.
    """
    owners: dict[int, ActivatorPort] = {}
    for _, found in sorted(slices.items(), key=lambda item: (item[1].created, item[0])):
        owners.setdefault(found.port, found)
    return owners
