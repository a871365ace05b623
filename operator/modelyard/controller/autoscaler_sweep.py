"""The autoscalers of Services, listed every 20 s for the load and the conditions of Services.

Their watch has metadata only: the status of an autoscaler changes with each measurement.
"""

from __future__ import annotations

import logging
import time
from typing import Final

from modelyard.api.kinds import SERVICE
from modelyard.api.labels import SELECTOR
from modelyard.api.labels import SERVICE as SERVICE_LABEL
from modelyard.controller.namespaces import Namespaces
from modelyard.kube.errors import KubeError
from modelyard.kube.types import AUTOSCALERS, Json, Key
from modelyard.reconcile.context import Context

_LOG: Final = logging.getLogger(__name__)
_PAUSE_PER_SWEEP: Final = 50  # a pause lasts at least as long as 50 sweeps


class AutoscalerSweep:
    """Queues the Services whose status changes by the status of their autoscaler."""

    def __init__(self, ctx: Context, namespaces: Namespaces, *, seconds: float):
        """`seconds` is the shortest pause between two sweeps."""
        self._ctx = ctx
        self._namespaces = namespaces
        self._seconds = seconds

    async def run(self) -> None:
        """Sweep for as long as the process runs."""
        while True:
            await self._ctx.sleep(self._seconds)
            began = time.monotonic()
            for namespace in self._ctx.settings.namespaces:
                if namespace is None or not self._namespaces.is_set_aside(namespace):
                    await self._sweep(namespace)
            await self._ctx.sleep(_PAUSE_PER_SWEEP * (time.monotonic() - began))

    async def _sweep(self, namespace: str | None) -> None:
        try:
            async for page in self._ctx.client.pages(AUTOSCALERS, namespace, labelSelector=SELECTOR):
                for body in page.items:
                    self._take(body)
        except KubeError as error:
            _LOG.warning(
                "list of autoscalers in %s: %s; it is repeated", namespace or "all namespaces", error
            )

    def _take(self, body: Json) -> None:
        metadata = body["metadata"]
        name = metadata.get("labels", {}).get(SERVICE_LABEL)
        key = Key(SERVICE.name, metadata["namespace"], name or "")
        obj = self._ctx.cache.objects.get(key)
        if obj is None:
            return
        reported = obj.status.get("utilization")
        if self._ctx.autoscaler_reports.take(key, body.get("status") or {}, reported, self._ctx.now()):
            self._ctx.queue.add(key)
