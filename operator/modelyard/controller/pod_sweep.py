"""Changes of the pods of Services that no Deployment shows, found in a list of all these pods every 10 s.

A container may restart within a second. The Deployment controller may read the pod only after that, or while
another rollout is in progress, so no condition shows the restart. A watch would cost much more: a pod changes
its status about six times while it starts, and has 8 kB. A row of the list has the metadata of a pod, and the
number of restarts as `kubectl get pods` prints it.
"""

from __future__ import annotations

import logging
import re
import time
from typing import Final, NamedTuple

from modelyard.api.kinds import SERVICE
from modelyard.api.labels import SELECTOR, service_of_pod
from modelyard.controller.namespaces import Namespaces
from modelyard.kube.client import TABLE
from modelyard.kube.errors import KubeError
from modelyard.kube.types import PODS, Json, Key
from modelyard.reconcile.context import Context
from modelyard.reconcile.device_diagnosis import requests_devices

SWEEP_SECONDS: Final = 10.0

_LOG: Final = logging.getLogger(__name__)
_PAUSE_PER_SWEEP: Final = 20  # a pause lasts at least as long as 20 sweeps
_SERVICES_WITH_DEVICES: Final = 50  # that one sweep queues: the look at each is a request and a reconcile
# `3 (5m ago)`: https://github.com/kubernetes/kubernetes/blob/v1.34.0/pkg/printers/internalversion/printers.go
_RESTARTS: Final = re.compile(r"(\d+)(?: \(\d+([a-z]))?")
_RECENT_UNITS: Final = {"s", "m"}  # hours begin at 180 minutes


class Restarts(NamedTuple):
    """The number of restarts of a pod's containers, and whether the last one was within three hours."""

    number: int
    is_recent: bool


def read_restarts(row: Json) -> Restarts | None:
    """Return the restarts of a pod by its row in a table, None without restarts or without the column."""
    found = _RESTARTS.match(str(row["cells"].get("Restarts", "")))
    if found is None or found[1] == "0":
        return None
    return Restarts(int(found[1]), found[2] is None or found[2] in _RECENT_UNITS)


class PodSweep:
    """Queues the Services with a container that was restarted, and those with devices such as GPUs.

    It queues a Service at most once in a sweep. So a container that restarts again and again leads to one
    reconcile every 10 s.
    """

    def __init__(self, ctx: Context, namespaces: Namespaces, *, seconds: float = SWEEP_SECONDS):
        """`seconds` is the shortest pause between two sweeps."""
        self._ctx = ctx
        self._namespaces = namespaces
        self._seconds = seconds
        self._restarts: dict[str, int] = {}  # by UID of the pod, without pods that have none
        self._looked_at = 0  # Services with devices that were queued so far

    async def run(self) -> None:
        """Sweep for as long as the process runs."""
        while True:
            began = time.monotonic()
            await self._sweep()
            await self._ctx.sleep(max(self._seconds, _PAUSE_PER_SWEEP * (time.monotonic() - began)))

    async def _sweep(self) -> None:
        found: dict[str, int] = {}
        for namespace in self._namespaces.active:
            try:
                pages = self._ctx.client.pages(PODS, namespace, accept=TABLE, labelSelector=SELECTOR)
                async for page in pages:
                    for row in page.items:
                        self._take(row, found)
            except KubeError as error:
                _LOG.warning(
                    "list of pods in %s: %s; next attempt in %.0f s", namespace or "all", error, self._seconds
                )
                found = self._restarts | found
        self._restarts = found
        self._look_at_devices()

    def _take(self, row: Json, found: dict[str, int]) -> None:
        """Queue the Service of a pod with more restarts than at the last sweep."""
        metadata = row["metadata"]
        service, restarts = service_of_pod(metadata), read_restarts(row)
        if service is None or restarts is None:
            return
        uid = metadata["uid"]
        found[uid] = restarts.number
        # The first sweep finds the restarts of the whole life of a pod, also those of days ago.
        before = self._restarts.get(uid)
        if restarts.is_recent if before is None else restarts.number > before:
            self._queue(Key(SERVICE.name, metadata["namespace"], service))

    def _look_at_devices(self) -> None:
        """Queue the next Services with devices: only the status of a pod shows that one is unhealthy."""
        limits = self._ctx.settings.scoring.limits
        keys = [
            obj.key
            for obj in self._ctx.cache.objects.all()
            if obj.key.kind == SERVICE.name and requests_devices(obj.spec, limits)
        ]
        number = min(len(keys), _SERVICES_WITH_DEVICES)
        for index in range(self._looked_at, self._looked_at + number):
            self._queue(keys[index % len(keys)])
        self._looked_at += number

    def _queue(self, key: Key) -> None:
        if self._ctx.cache.objects.get(key):
            self._ctx.pod_reports.unread.add(key)
            self._ctx.queue.add(key)
