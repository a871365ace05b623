"""Names that the scaler, the autoscalers of Services and the chart share."""

from __future__ import annotations

from typing import Final

GROUP: Final = "custom.metrics.k8s.io"
VERSIONS: Final = ("v1beta2", "v1beta1")
"""Versions of the group that the scaler serves, the preferred one first."""

METRIC: Final = "modelyard_scoring_utilization"
"""Name of the metric of pods: running and waiting requests as a share of the places."""
