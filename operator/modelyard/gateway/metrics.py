"""Prometheus metrics of the gateway, in a registry of their own: the operator's are in the same image."""

from __future__ import annotations

from importlib.metadata import version
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector

REGISTRY: Final = CollectorRegistry()
ProcessCollector(registry=REGISTRY)

_INFO: Final = Gauge("modelyard_gateway_info", "1, with the release", ["version"], registry=REGISTRY)
_INFO.labels(version=version("modelyard")).set(1)
_REQUESTS: Final = Counter(
    "modelyard_gateway_requests",
    "Requests by method, route and status code, without probes",
    ["method", "route", "code"],
    registry=REGISTRY,
)
_SECONDS: Final = Histogram(
    "modelyard_gateway_request_seconds",
    "Time from a complete request to its response",
    ["method"],
    buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 20),
    registry=REGISTRY,
)
_METHODS: Final = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})


def count_request(method: str, route: str, status: int, seconds: float) -> None:
    """Count a request. `route` is the template of its path, empty for a path without a route.

    Clients choose method and path, so other methods count as `other`: the number of series is bounded.
    """
    method = method if method in _METHODS else "other"
    _REQUESTS.labels(method=method, route=route, code=str(status)).inc()
    _SECONDS.labels(method=method).observe(seconds)
