"""EndpointSlices of somebody else for a Service: an event names each of them."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from typing import Final, NamedTuple

from modelyard.api.endpoint_slices import ActivatorSlice, ServiceKey, read_slice
from modelyard.api.kinds import SERVICE
from modelyard.api.labels import MANAGED_BY, MANAGER, SLICE_SERVICE, activator_slice_name
from modelyard.kube.client import Client
from modelyard.kube.types import ENDPOINT_SLICES, Json, Key
from modelyard.reconcile.event_recorder import SCALER, EventRecorder
from modelyard.scaler.zero import metrics

_LOG: Final = logging.getLogger(__name__)


class _Subject(NamedTuple):
    """A Service that an event is about."""

    key: Key
    uid: str


class Strangers:
    """Records one event for each EndpointSlice of somebody else, and again after a restart."""

    def __init__(self, client: Client, instance: str):
        """`instance` is the name of the pod."""
        self._client = client
        self._recorder = EventRecorder(client, instance, SCALER)
        self._told: dict[ServiceKey, frozenset[str]] = {}

    def forget(self, service: ServiceKey) -> None:
        """Forget a deleted Service."""
        self._told.pop(service, None)

    async def see(self, service: ServiceKey, uid: str, names: Iterable[str]) -> None:
        """Report the slices whose addresses get requests of a Service."""
        present, name_of_ours = frozenset(names), activator_slice_name(service.name)
        told = self._told.get(service, frozenset())
        for name in sorted(present - told):
            note = (
                f"EndpointSlice {name} is neither from Kubernetes nor from the scaler. Its addresses get"
                f" requests of the Service: delete it, or its label {SLICE_SERVICE}"
            )
            await self._record(service, uid, "StrangeEndpointSlice", note)
        self._keep(service, present | (told & {name_of_ours}))

    async def check_name(self, service: ServiceKey, uid: str) -> None:
        """Report that another slice has the name of the activator's, unless the watch has yet to show ours.

        Raises NotFound if there is no slice any more.
        """
        name = activator_slice_name(service.name)
        told = self._told.get(service, frozenset())
        if name in told or _is_ours(await self._client.get(ENDPOINT_SLICES, service.namespace, name)):
            return
        note = (
            f"EndpointSlice {name} belongs to somebody else. So no request is held, and the Service does not"
            " go to 0: delete the EndpointSlice"
        )
        metrics.ERRORS.inc()
        await self._record(service, uid, "NameTaken", note)
        self._keep(service, told | {name})

    def _keep(self, service: ServiceKey, told: frozenset[str]) -> None:
        self._told.pop(service, None)
        if told:
            self._told[service] = told

    async def _record(self, service: ServiceKey, uid: str, reason: str, note: str) -> None:
        _LOG.warning("%s/%s: %s", *service, note)
        await self._recorder.record(_Subject(Key(SERVICE.name, *service), uid), reason, note, warning=True)


def _is_ours(body: Json) -> bool:
    """Return whether the watch shows an EndpointSlice as the activator's."""
    found = body["metadata"].get("labels") or {}
    return isinstance(read_slice(body), ActivatorSlice) and found.get(MANAGED_BY) == MANAGER
