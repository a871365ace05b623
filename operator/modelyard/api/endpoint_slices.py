"""EndpointSlices of the core Services: the activator's port of a Service, and its replicas.

The EndpointSlice that the scaler writes is the only map from ports to Services. The others of the same core
Service have its replicas, also those that are not ready yet.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, NamedTuple

from modelyard.api import labels
from modelyard.api.owners import Owner, owner_reference
from modelyard.kube.types import ENDPOINT_SLICES, Json

_IP_TYPES: Final = frozenset({"IPv4", "IPv6"})


class ServiceKey(NamedTuple):
    """Namespace and name of a Service."""

    namespace: str
    name: str


class Address(NamedTuple):
    """The IP address and the port of a replica."""

    host: str
    port: int


class ActivatorSlice(NamedTuple):
    """The EndpointSlice of the scaler: the activator's port of one Service, and the pods of the activator."""

    service: ServiceKey
    port: int
    wakes: bool  # False: numReplicas is 0
    created: str  # the older one of two slices with the same port counts
    hosts: frozenset[tuple[str, bool]] = frozenset()  # IP addresses, each with `ready`
    version: str = ""  # resourceVersion


class Replicas(NamedTuple):
    """The replicas of a Service in one EndpointSlice: all that do not end, and the ready ones of them."""

    service: ServiceKey
    addresses: frozenset[Address]
    ready: frozenset[Address]


class StrangeSlice(NamedTuple):
    """An EndpointSlice for a Service that neither Kubernetes nor the scaler writes.

    Data planes send requests to its addresses. Scaler and activator do not connect to them.
    """

    service: ServiceKey
    name: str


def read_slice(body: Json) -> ActivatorSlice | Replicas | StrangeSlice | None:
    """Return the content of an EndpointSlice, None if it has no port or no addresses for a Service."""
    metadata = body["metadata"]
    found: Json = metadata.get("labels") or {}
    name = found.get(labels.SLICE_SERVICE)
    ports = [port for port in body.get("ports") or () if port.get("name") == labels.PORT_NAME]
    if not name or not ports or body.get("addressType") not in _IP_TYPES:
        return None
    service, port = ServiceKey(metadata.get("namespace", ""), name), int(ports[0].get("port") or 0)
    if found.get(labels.SLICE_MANAGED_BY) == labels.KUBERNETES_SLICE_MANAGER:
        every = _endpoints(body)
        return Replicas(
            service,
            frozenset(Address(host, port) for host, _ in every),
            frozenset(Address(host, port) for host, is_ready in every if is_ready),
        )
    is_ours = (
        found.get(labels.SLICE_MANAGED_BY) == labels.SLICE_MANAGER
        and metadata["name"] == labels.activator_slice_name(name)
        and port in labels.ACTIVATOR_PORTS
    )
    if not is_ours:
        return StrangeSlice(service, metadata["name"])
    return ActivatorSlice(
        service,
        port,
        (metadata.get("annotations") or {}).get(labels.ACTIVATION) != labels.ACTIVATION_NONE,
        str(metadata.get("creationTimestamp", "")),
        _endpoints(body),
        str(metadata.get("resourceVersion", "")),
    )


def _endpoints(body: Json) -> frozenset[tuple[str, bool]]:
    """Return the address of each endpoint that does not end, with its readiness.

    All addresses of an endpoint are the same pod.
    """
    return frozenset(
        (str(address), (endpoint.get("conditions") or {}).get("ready") is not False)
        for endpoint in body.get("endpoints") or ()
        if not (endpoint.get("conditions") or {}).get("terminating")
        for address in endpoint.get("addresses", ())[:1]
    )


def port_owner(slices: Mapping[ServiceKey, ActivatorSlice]) -> ActivatorSlice | None:
    """Return the slice that counts of those with the same port: the oldest, and then the first by name.

    The API server sets the time of creation. So a slice that somebody else adds takes no port from a Service.
    """
    return min(slices.values(), key=lambda one: (one.created, one.service), default=None)


def activator_slice(owner: Owner, port: int, hosts: Mapping[str, bool], *, wakes: bool) -> Json:
    """Return the EndpointSlice that leads requests to a Service without a replica to the activator.

    `hosts` has the IP addresses of the pods of the activator; the value is True if the port is open there.
    Kubernetes deletes the slice with the Service.
    """
    family = "IPv6" if any(":" in host for host in hosts) else "IPv4"
    return {
        **ENDPOINT_SLICES.header(),
        "metadata": {
            "name": labels.activator_slice_name(owner.name),
            "labels": {
                **labels.labels_of(owner.kind, owner.name),
                labels.SLICE_SERVICE: owner.name,
                labels.SLICE_MANAGED_BY: labels.SLICE_MANAGER,
            },
            "annotations": {labels.ACTIVATION: labels.ACTIVATION_WAKE if wakes else labels.ACTIVATION_NONE},
            "ownerReferences": [owner_reference(owner)],
        },
        "addressType": family,
        "endpoints": [
            {
                "addresses": [host],
                "conditions": {"ready": is_ready, "serving": is_ready, "terminating": False},
            }
            for host, is_ready in sorted(hosts.items())
            if (":" in host) == (family == "IPv6")
        ],
        "ports": [{"name": labels.PORT_NAME, "port": port, "protocol": "TCP"}],
    }
