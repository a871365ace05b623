"""Metrics that are read from the operator's state at each scrape: objects, queue and watches."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from prometheus_client import Metric
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from modelyard.api.kinds import KINDS
from modelyard.api.status import State
from modelyard.controller.controller import Controller
from modelyard.reconcile.context import Context


class StateMetrics(Collector):
    """Collector of gauges. A scrape runs in a thread of its own, so each value is a copy of the state."""

    def __init__(self, ctx: Context, controller: Controller):
        self._ctx = ctx
        self._controller = controller

    def collect(self) -> Iterable[Metric]:
        """Yield the gauges with their present values."""
        yield self._objects()
        queue = self._ctx.queue
        yield GaugeMetricFamily("modelyard_queue_depth", "Objects waiting for a worker", len(queue))
        yield GaugeMetricFamily(
            "modelyard_queue_oldest_seconds",
            "Seconds that the first object of the queue has waited for a worker",
            queue.oldest_seconds(),
        )
        yield self._watches()

    def _objects(self) -> GaugeMetricFamily:
        counts = Counter(
            (obj.key.kind, obj.state or State.NOT_STARTED) for obj in self._ctx.cache.objects.all()
        )
        family = GaugeMetricFamily(
            "modelyard_objects", "Objects by the state of their newest version", labels=["kind", "state"]
        )
        for kind in KINDS:
            for state in State:
                family.add_metric([kind.name, state], counts[kind.name, state])
        return family

    def _watches(self) -> GaugeMetricFamily:
        family = GaugeMetricFamily(
            "modelyard_watch_silence_seconds",
            "Seconds since the last event or bookmark of a watch; a bookmark comes each minute",
            labels=["resource"],
        )
        for resource, seconds in self._controller.children.seconds_since_event().items():
            family.add_metric([resource], seconds)
        return family
