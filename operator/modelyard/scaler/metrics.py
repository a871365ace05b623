"""Prometheus metrics of the scaler, in a registry of their own: the operator's are in the same image."""

from __future__ import annotations

from collections.abc import Callable
from importlib.metadata import version
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, ProcessCollector

REGISTRY: Final = CollectorRegistry()
ProcessCollector(registry=REGISTRY)

_INFO: Final = Gauge("modelyard_scaler_info", "1, with the release", ["version"], registry=REGISTRY)
_INFO.labels(version=version("modelyard")).set(1)
_REPLICAS: Final = Gauge(
    "modelyard_scaler_replicas", "Replicas that are asked for their load", registry=REGISTRY
)
_AGE: Final = Gauge(
    "modelyard_scaler_oldest_figure_seconds", "Age of the oldest load of a replica", registry=REGISTRY
)
_LOADS: Final = Counter(
    "modelyard_scaler_load_requests", "Requests to replicas for their load", ["result"], registry=REGISTRY
)
_API_REQUESTS: Final = Counter(
    "modelyard_scaler_api_requests",
    "Requests to the custom metrics API by status code, without probes",
    ["code"],
    registry=REGISTRY,
)

# A counter without samples at the start loses its first count: increase() needs two samples.
_LOADS_BY_RESULT: Final = {result: _LOADS.labels(result=result) for result in ("succeeded", "failed")}
_API_REQUESTS.labels(code="200")


def count_request(result: str) -> None:
    """Count a request to a replica: `succeeded` or `failed`."""
    _LOADS_BY_RESULT[result].inc()


def count_api_request(status: int) -> None:
    """Count a request to the custom metrics API."""
    _API_REQUESTS.labels(code=str(status)).inc()


def observe_collector(replicas: Callable[[], float], oldest_seconds: Callable[[], float]) -> None:
    """Read the gauges of the collector whenever Prometheus does."""
    _REPLICAS.set_function(replicas)
    _AGE.set_function(oldest_seconds)
