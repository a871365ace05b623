"""Metrics that are read from the operator's state at each scrape: objects, Services, queue and watches."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from importlib.metadata import version

from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from modelyard.api.conditions import value_of
from modelyard.api.kinds import KINDS, SERVICE
from modelyard.api.status import State
from modelyard.controller.controller import Controller
from modelyard.reconcile.context import Context
from modelyard.reconcile.objects import CustomObject
from modelyard.reconcile.services.collection_condition import DATA_COLLECTION


class StateFamilies:
    """The gauges of one scrape, without values at first."""

    def __init__(self) -> None:
        self.info = GaugeMetricFamily("modelyard_operator_info", "1, with the release", labels=["version"])
        self.objects = GaugeMetricFamily(
            "modelyard_objects", "Objects by the state of their newest version", labels=["kind", "state"]
        )
        self.failed = GaugeMetricFamily(
            "modelyard_object_failed",
            "1 for an object whose newest version failed; no series for the others",
            labels=["kind", "namespace", "name", "code"],
        )
        service = ["namespace", "service"]
        self.service_info = GaugeMetricFamily(
            "modelyard_service_info",
            "1, with the newest version of a Service and its image",
            labels=[*service, "version", "image"],
        )
        self.replicas = GaugeMetricFamily(
            "modelyard_service_replicas", "Replicas of a Service", labels=service
        )
        self.ready_replicas = GaugeMetricFamily(
            "modelyard_service_ready_replicas", "Replicas of a Service that are ready", labels=service
        )
        self.collection_degraded = GaugeMetricFamily(
            "modelyard_collection_degraded",
            "1 for a Service whose condition DataCollection is False; no series for the others",
            labels=[*service, "reason"],
        )
        self.queue_depth = GaugeMetricFamily(
            "modelyard_queue_depth", "Objects waiting for a worker", labels=[]
        )
        self.queue_oldest = GaugeMetricFamily(
            "modelyard_queue_oldest_seconds",
            "Seconds that the first object of the queue has waited for a worker",
            labels=[],
        )
        self.silence = GaugeMetricFamily(
            "modelyard_watch_silence_seconds",
            "Seconds since the last event or bookmark of a watch; a bookmark comes each minute",
            labels=["resource"],
        )

    def all(self) -> list[GaugeMetricFamily]:
        """Return all gauges."""
        return list(vars(self).values())

    def add_objects(self, objects: list[CustomObject]) -> None:
        """Add objects by state, the failed ones by name, and three series for each Service.

        An alert can therefore name the object. The number of series grows with Services and failed objects.
        """
        counts = Counter((obj.key.kind, obj.state or State.NOT_STARTED) for obj in objects)
        for kind in KINDS:
            for state in State:
                self.objects.add_metric([kind.name, state], counts[kind.name, state])
        for obj in objects:
            if obj.state is State.FAILED:
                code = (obj.status.get("error") or {}).get("code", "")
                self.failed.add_metric([obj.key.kind, obj.key.namespace, obj.key.name, code], 1)
            if obj.key.kind == SERVICE.name and obj.status.get("version"):
                self._add_service(obj)

    def _add_service(self, obj: CustomObject) -> None:
        service, status = [obj.key.namespace, obj.key.name], obj.status
        self.service_info.add_metric([*service, str(status["version"]), status.get("imageId") or ""], 1)
        self.replicas.add_metric(service, status.get("replicas") or 0)
        self.ready_replicas.add_metric(service, status.get("readyReplicas") or 0)
        collection = obj.condition(DATA_COLLECTION)
        if collection and value_of(collection) is False:
            self.collection_degraded.add_metric([*service, collection["reason"]], 1)


class StateMetrics(Collector):
    """Collector of gauges. A scrape runs in a thread of its own, so each value is a copy of the state."""

    def __init__(self, ctx: Context, controller: Controller):
        self._ctx = ctx
        self._controller = controller
        self._release = version("modelyard")  # reads a file

    def collect(self) -> Iterable[GaugeMetricFamily]:
        """Return the gauges with their present values."""
        families = StateFamilies()
        families.info.add_metric([self._release], 1)
        families.add_objects(self._ctx.cache.objects.all())
        queue = self._ctx.queue
        families.queue_depth.add_metric([], len(queue))
        families.queue_oldest.add_metric([], queue.oldest_seconds())
        for resource, seconds in self._controller.children.seconds_since_event().items():
            families.silence.add_metric([resource], seconds)
        return families.all()
