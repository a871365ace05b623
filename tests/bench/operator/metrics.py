"""Figures of the operator, read from its metrics endpoint."""

from __future__ import annotations

from typing import NamedTuple

from tests.support import operator


class Metrics(NamedTuple):
    """CPU seconds, resident bytes, and writes by resource."""

    cpu_seconds: float
    rss_bytes: float
    writes_by_resource: dict[str, float]

    @property
    def writes(self) -> float:
        """Return the number of writes of all resources."""
        return sum(self.writes_by_resource.values())


def operator_metrics() -> Metrics:
    """Return the present metrics of the operator."""
    samples = operator.operator_metrics()
    writes: dict[str, float] = {}
    for (name, labels), value in samples.items():
        if name == "modelyard_api_writes_total":
            resource = dict(labels)["resource"]
            writes[resource] = writes.get(resource, 0) + value
    nothing: frozenset[tuple[str, str]] = frozenset()
    return Metrics(
        samples["process_cpu_seconds_total", nothing],
        samples["process_resident_memory_bytes", nothing],
        writes,
    )
