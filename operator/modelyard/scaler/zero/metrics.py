"""Prometheus metrics of the decision between 0 and 1."""

from __future__ import annotations

from typing import Final

from prometheus_client import Counter

from modelyard.scaler.metrics import REGISTRY

SLEEPS: Final = Counter("modelyard_scaler_sleeps", "Deployments that were scaled to 0", registry=REGISTRY)
ERRORS: Final = Counter(
    "modelyard_scaler_zero_errors", "Steps between 0 and 1 replicas that failed", registry=REGISTRY
)
