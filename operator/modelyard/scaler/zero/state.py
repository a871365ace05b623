"""The known state of Services that have no replica or may go to 0, from watches."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

from modelyard.api import labels
from modelyard.api.endpoint_slices import (
    ActivatorSlice,
    Address,
    Replicas,
    ServiceKey,
    StrangeSlice,
    read_slice,
)
from modelyard.api.service import ServiceSpec
from modelyard.kube.types import Json
from modelyard.scaler.zero.ports import Ports


class ZeroSettings(NamedTuple):
    """The settings of a Service that decide on 0 replicas."""

    uid: str
    sleeps: bool  # minReplicas is 0, and an autoscaler is on
    is_off: bool  # numReplicas is 0
    cooldown_seconds: int


@dataclass
class ServiceState:
    """One Service: its settings, its replicas by EndpointSlice, and the slice of the activator."""

    settings: ZeroSettings | None = None
    slice: ActivatorSlice | None = None
    replicas: dict[str, Replicas] = field(default_factory=dict)  # by the name of the EndpointSlice
    strange: set[str] = field(default_factory=set)  # names of EndpointSlices of somebody else

    @property
    def ready(self) -> frozenset[Address]:
        """Return the addresses of the ready replicas."""
        return frozenset().union(*(one.ready for one in self.replicas.values()))

    @property
    def is_empty(self) -> bool:
        """Return whether nothing is known about the Service."""
        return self.settings is None and self.slice is None and not self.replicas and not self.strange


class ZeroState:
    """All Services, and the living pods of the activator."""

    def __init__(self, ports: Ports | None = None) -> None:
        self.ports = ports or Ports()
        self._services: dict[ServiceKey, ServiceState] = {}
        self._slices: dict[ServiceKey, ServiceKey] = {}  # by namespace and name of a slice: its Service
        self._activators: dict[str, frozenset[str]] = {}  # by the name of the EndpointSlice

    @property
    def activators(self) -> frozenset[str]:
        """Return the IP addresses of the ready pods of the activator."""
        return frozenset().union(*self._activators.values())

    def keys(self) -> list[ServiceKey]:
        """Return all Services."""
        return list(self._services)

    def get(self, key: ServiceKey) -> ServiceState:
        """Return the state of a Service, an empty one if nothing is known."""
        return self._services.get(key) or ServiceState()

    def on_service(self, body: Json, spec: ServiceSpec | None) -> ServiceKey:
        """Take over a Service; return its key. `spec` is None if it is deleted or not valid."""
        metadata = body["metadata"]
        key = ServiceKey(metadata["namespace"], metadata["name"])
        if metadata.get("deletionTimestamp"):
            spec = None
        self._edit(key).settings = _settings(metadata["uid"], spec) if spec else None
        self._drop_empty(key)
        return key

    def on_slice(self, body: Json, *, deleted: bool) -> set[ServiceKey]:
        """Take over an EndpointSlice of a core Service; return the Services that it changes."""
        metadata = body["metadata"]
        name = ServiceKey(metadata.get("namespace", ""), metadata["name"])
        found = None if deleted else read_slice(body)
        changed: set[ServiceKey] = set()
        before = self._slices.pop(name, None)
        if before is not None:
            state = self._edit(before)
            changed.add(before)
            state.replicas.pop(name.name, None)
            state.strange.discard(name.name)
            if not isinstance(found, ActivatorSlice) and state.slice and _is_slice(name, state.slice):
                self.ports.replace(state.slice, None)
                state.slice = None
            self._drop_empty(before)
        if found is not None:
            state = self._edit(found.service)
            self._slices[name] = found.service
            changed.add(found.service)
            if isinstance(found, Replicas):
                state.replicas[name.name] = found
            elif isinstance(found, StrangeSlice):
                state.strange.add(name.name)
            else:
                changed |= self.ports.replace(state.slice, found)
                state.slice = found
        return changed

    def on_activators(self, body: Json, *, deleted: bool) -> bool:
        """Take over an EndpointSlice of the activator's core Service; return whether its pods changed."""
        before = self.activators
        self._activators.pop(body["metadata"]["name"], None)
        if not deleted:
            self._activators[body["metadata"]["name"]] = frozenset(
                str(address)
                for endpoint in body.get("endpoints") or ()
                if (endpoint.get("conditions") or {}).get("ready")
                for address in endpoint.get("addresses", ())[:1]
            )
        return self.activators != before

    def _edit(self, key: ServiceKey) -> ServiceState:
        return self._services.setdefault(key, ServiceState())

    def _drop_empty(self, key: ServiceKey) -> None:
        if self._services[key].is_empty:
            del self._services[key]
            self.ports.forget(key)


def _is_slice(name: ServiceKey, found: ActivatorSlice) -> bool:
    return name == (found.service.namespace, labels.activator_slice_name(found.service.name))


def _settings(uid: str, spec: ServiceSpec) -> ZeroSettings:
    return ZeroSettings(
        uid=uid,
        sleeps=spec.may_sleep,
        is_off=spec.num_replicas == 0,
        cooldown_seconds=spec.scaling.effective_cooldown,
    )
