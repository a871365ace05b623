"""Prometheus metrics of the activator, in a registry of their own. None has a label with a name of users."""

from __future__ import annotations

from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector

from modelyard.activator.responses import Reason

REGISTRY: Final = CollectorRegistry()
ProcessCollector(registry=REGISTRY)

HELD: Final = Gauge("modelyard_activator_held", "Requests that wait for a replica", registry=REGISTRY)
PORTS: Final = Gauge(
    "modelyard_activator_ports", "Services without a replica, whose port is open", registry=REGISTRY
)
FORWARDED: Final = Counter(
    "modelyard_activator_forwarded", "Requests that were forwarded to a replica", registry=REGISTRY
)
REFUSED: Final = Counter(
    "modelyard_activator_refused", "Requests that were refused, by reason", ["reason"], registry=REGISTRY
)
ABANDONED: Final = Counter(
    "modelyard_activator_abandoned",
    "Held requests whose client left",
    registry=REGISTRY,
)
COLD_STARTS: Final = Counter(
    "modelyard_activator_cold_starts", "Deployments that were scaled from 0 to 1", registry=REGISTRY
)
WAKE_FAILURES: Final = Counter(
    "modelyard_activator_wake_failures", "Attempts to scale a Deployment that failed", registry=REGISTRY
)
WAKE_SECONDS: Final = Histogram(
    "modelyard_activator_wake_seconds",
    "Time from the first held request of a Service to its first ready replica",
    buckets=(0.25, 0.5, 0.75, 1, 1.5, 2, 2.5, 3, 5, 10, 20, 30, 60, 120, 300),
    registry=REGISTRY,
)

# increase() needs two samples, so a counter with labels has each of them from the start.
for _reason in Reason:
    REFUSED.labels(reason=_reason)
