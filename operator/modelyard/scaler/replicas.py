"""The replicas to ask for their load: ready pods of Services, by watches of pods and of Services."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Final, NamedTuple, TypeVar

from pydantic import ValidationError

from modelyard.api import labels
from modelyard.api.conditions import is_true
from modelyard.api.endpoint_slices import ServiceKey
from modelyard.api.kinds import SERVICE
from modelyard.api.service import ServiceSpec
from modelyard.kube.types import ApiResource, Json
from modelyard.scaler.load import Figures

_LOG: Final = logging.getLogger(__name__)

Group = TypeVar("Group")
Name = TypeVar("Name")


class PodKey(NamedTuple):
    """Namespace and name of a pod."""

    namespace: str
    name: str


@dataclass(slots=True, eq=False)
class Replica:
    """A ready pod of a Service, and its figures."""

    key: PodKey
    uid: str
    service: ServiceKey
    address: str
    labels: dict[str, str]
    figures: Figures = field(default_factory=Figures)
    period_seconds: float = 1.0
    has_load_path: bool | None = None
    """True if the image has `GET /load`; None before the first answer."""


Listener = Callable[[Replica, bool], None]
"""Receives a replica, and whether it is to be asked from now on (True) or no longer (False)."""


class Replicas:
    """All ready replicas of the watched namespaces, and the settings of their Services.

    `is_asked` decides by the spec of a Service whether its replicas are asked for their load.
    """

    def __init__(self, is_asked: Callable[[ServiceSpec], bool], listener: Listener) -> None:
        self._is_asked = is_asked
        self._listener = listener
        self._pods: dict[str, dict[str, Replica]] = {}  # by namespace and name
        self._by_service: dict[ServiceKey, dict[PodKey, Replica]] = {}
        self.services: dict[ServiceKey, ServiceSpec] = {}

    def of_namespace(self, namespace: str) -> Iterator[Replica]:
        """Yield the ready replicas of a namespace that are asked for their load."""
        for replica in self._pods.get(namespace, {}).values():
            if self._asks(replica.service):
                yield replica

    def of_service(self, key: ServiceKey) -> Iterator[Replica]:
        """Yield the ready replicas of a Service."""
        yield from self._by_service.get(key, {}).values()

    def asked(self) -> Iterator[Replica]:
        """Yield all replicas that are asked for their load."""
        for key, replicas in self._by_service.items():
            if self._asks(key):
                yield from replicas.values()

    # --- handlers of the watches

    def on_service(self, _: ApiResource, body: Json, deleted: bool) -> ServiceSpec | None:
        """Take a change of a Service. Its replicas are asked at its period.

        Return its spec, None if the Service is deleted or the spec is not valid.
        """
        key = ServiceKey(body["metadata"]["namespace"], body["metadata"]["name"])
        was_asked = self._asks(key)
        spec = None if deleted else _spec(key, body)
        if spec is None:
            self.services.pop(key, None)
        else:
            self.services[key] = spec
        is_asked = self._asks(key)
        for replica in self.of_service(key):
            replica.period_seconds = self._period(key)
            if is_asked != was_asked:
                self._listener(replica, is_asked)
        return spec

    def on_pod(self, _: ApiResource, body: Json, deleted: bool) -> None:
        """Take a change of a pod. Only ready pods with an address are asked."""
        metadata = body["metadata"]
        key = PodKey(metadata["namespace"], metadata["name"])
        before = self._pods.get(key.namespace, {}).get(key.name)
        after = None if deleted else self._replica(key, body)
        if before is not None and after is not None and _is_same(before, after):
            before.labels = after.labels
            return
        if before is not None:
            self._remove(before)
        if after is not None:
            self._add(after)

    def _replica(self, key: PodKey, body: Json) -> Replica | None:
        metadata, status = body["metadata"], body.get("status", {})
        service, address = labels.service_of_pod(metadata), status.get("podIP")
        if not service or not address or metadata.get("deletionTimestamp") or not is_true("Ready", status):
            return None
        owner = ServiceKey(key.namespace, service)
        return Replica(
            key, metadata["uid"], owner, address, metadata["labels"], period_seconds=self._period(owner)
        )

    def _add(self, replica: Replica) -> None:
        self._pods.setdefault(replica.key.namespace, {})[replica.key.name] = replica
        self._by_service.setdefault(replica.service, {})[replica.key] = replica
        if self._asks(replica.service):
            self._listener(replica, True)

    def _remove(self, replica: Replica) -> None:
        if self._asks(replica.service):
            self._listener(replica, False)
        _delete(self._pods, replica.key.namespace, replica.key.name)
        _delete(self._by_service, replica.service, replica.key)

    def _asks(self, key: ServiceKey) -> bool:
        spec = self.services.get(key)
        return spec is not None and self._is_asked(spec)

    def _period(self, key: ServiceKey) -> float:
        spec = self.services.get(key)
        return 1.0 if spec is None else float(spec.scaling.effective_refresh_period)


def _delete(groups: dict[Group, dict[Name, Replica]], group: Group, key: Name) -> None:
    del groups[group][key]
    if not groups[group]:
        del groups[group]


def _spec(key: ServiceKey, body: Json) -> ServiceSpec | None:
    try:
        return ServiceSpec.model_validate(body["spec"])
    except ValidationError as error:  # written by another release, whose schema allows more
        _LOG.warning("%s %s/%s: spec is not valid: %s", SERVICE.name, *key, error)
        return None


def _is_same(before: Replica, after: Replica) -> bool:
    return (before.uid, before.address, before.service) == (after.uid, after.address, after.service)
