"""Changes of the pods of Services that no Deployment shows, found in a list of all these pods every 10 s.

A container may restart within a second. The Deployment controller may read the pod only after that, or while
another rollout is in progress, so no condition shows the restart. A watch would cost much more: a pod changes
its status about six times while it starts, and has 8 kB. A row of the table that kubectl prints has 0.2 kB,
with the number of restarts. The number is text for people there, but no other small response has it:
PartialObjectMetadata has no status, and field selectors of pods know no restarts. With a column of another
form the sweep finds no restart, and the conditions of the Deployment remain.
"""

from __future__ import annotations

import logging
import re
import time
from typing import Final, NamedTuple, TypeVar

from modelyard.api.kinds import SERVICE
from modelyard.api.labels import SELECTOR, service_of_pod
from modelyard.controller.namespaces import Namespaces
from modelyard.kube.client import METADATA_LIST, TABLE
from modelyard.kube.errors import KubeError
from modelyard.kube.types import PODS, Json, Key
from modelyard.reconcile.context import Context
from modelyard.reconcile.device_diagnosis import requests_devices

SWEEP_SECONDS: Final = 10.0

_LOG: Final = logging.getLogger(__name__)
_PAUSE_PER_SWEEP: Final = 20  # a pause lasts at least as long as 20 sweeps
_MAX_NAMESPACES: Final = 50  # that one sweep lists
_MAX_WITH_DEVICES: Final = 50  # Services that one sweep queues: each takes a request and a reconcile
# `3 (5m ago)`: https://github.com/kubernetes/kubernetes/blob/v1.34.0/pkg/printers/internalversion/printers.go
_RESTARTS: Final = re.compile(r"(\d+)(?: \(\d+([a-z]))?")
_RECENT_UNITS: Final = {"s", "m"}  # hours begin at 180 minutes

T = TypeVar("T")


class Restarts(NamedTuple):
    """The number of restarts of a pod's containers, and whether the last one was within three hours."""

    number: int
    is_recent: bool


def read_restarts(row: Json) -> Restarts | None:
    """Return the restarts of a pod by its row in a table, None without restarts or without the column."""
    found = _RESTARTS.match(str(row.get("Restarts", "")))
    if found is None or found[1] == "0":
        return None
    return Restarts(int(found[1]), found[2] is None or found[2] in _RECENT_UNITS)


class PodSweep:
    """Queues the Services with a container that was restarted, and those with devices such as GPUs.

    It queues a Service at most once in a sweep. So a container that restarts again and again leads to one
    reconcile every 10 s. With many namespaces or Services with devices, each sweep takes the next ones.
    """

    def __init__(self, ctx: Context, namespaces: Namespaces, *, seconds: float = SWEEP_SECONDS):
        """`seconds` is the shortest pause between two sweeps."""
        self._ctx = ctx
        self._namespaces = namespaces
        self._seconds = seconds
        self._restarts: dict[str, dict[str, int]] = {}  # by namespace and pod, without pods that have none
        self._sweeps = 0

    async def run(self) -> None:
        """Sweep for as long as the process runs."""
        while True:
            began = time.monotonic()
            await self._sweep()
            await self._ctx.sleep(max(self._seconds, _PAUSE_PER_SWEEP * (time.monotonic() - began)))

    async def _sweep(self) -> None:
        services = [obj for obj in self._ctx.cache.objects.all() if obj.key.kind == SERVICE.name]
        namespaces = sorted({obj.key.namespace for obj in services})
        self._restarts = {name: self._restarts[name] for name in namespaces if name in self._restarts}
        active = [name for name in namespaces if not self._namespaces.is_set_aside(name)]
        for namespace in _next(active, self._sweeps, _MAX_NAMESPACES):
            try:
                await self._look_at_restarts(namespace)
            except KubeError as error:
                _LOG.warning("list of pods in namespace %s: %s; it is repeated", namespace, error)
        limits = self._ctx.settings.scoring.limits
        with_devices = [obj.key for obj in services if requests_devices(obj.spec, limits)]
        for key in _next(with_devices, self._sweeps, _MAX_WITH_DEVICES):
            self._queue(key)
        self._sweeps += 1

    async def _look_at_restarts(self, namespace: str) -> None:
        """Queue the Services of the pods with more restarts than at the last look. Raises KubeError."""
        before, found = self._restarts.get(namespace, {}), dict[str, int]()
        query = {"labelSelector": SELECTOR, "includeObject": "None"}
        async for page in self._ctx.client.pages(PODS, namespace, accept=TABLE, **query):
            for row in page.items:
                if (restarts := read_restarts(row)) is None:
                    continue
                name = row["Name"]
                found[name] = restarts.number
                # The first look finds the restarts of the whole life of a pod, also those of days ago.
                if restarts.number > before[name] if name in before else restarts.is_recent:
                    await self._queue_service_of(namespace, name)
        self._restarts[namespace] = found

    async def _queue_service_of(self, namespace: str, pod: str) -> None:
        """Queue the Service of a pod. Raises KubeError."""
        name = {"fieldSelector": f"metadata.name={pod}"}
        async for page in self._ctx.client.pages(PODS, namespace, accept=METADATA_LIST, **name):
            for body in page.items:
                if service := service_of_pod(body["metadata"]):
                    self._queue(Key(SERVICE.name, namespace, service))

    def _queue(self, key: Key) -> None:
        if self._ctx.cache.objects.get(key):
            self._ctx.pod_reports.unread.add(key)
            self._ctx.queue.add(key)


def _next(items: list[T], turn: int, number: int) -> list[T]:
    """Return the items of a turn, at most `number`: all items in as many turns as that takes."""
    start = turn * number % len(items) if len(items) > number else 0
    return (items + items)[start : start + min(number, len(items))]
