"""The operator's own figures, read from its metrics endpoint."""

from __future__ import annotations

from typing import NamedTuple

import httpx
from prometheus_client.parser import text_string_to_metric_families
from tests.support.cluster import OPERATOR_NAMESPACE, port_forward


class Metrics(NamedTuple):
    """CPU seconds, resident bytes, and writes by resource."""

    cpu_seconds: float
    rss_bytes: float
    writes_by_resource: dict[str, float]

    @property
    def writes(self) -> float:
        """All writes."""
        return sum(self.writes_by_resource.values())


def operator_metrics() -> Metrics:
    """What the operator says of itself now."""
    with port_forward(OPERATOR_NAMESPACE, "deployment/modelyard", 8080) as url:
        text = httpx.get(f"{url}/metrics", timeout=30).text
    values: dict[str, float] = {}
    writes: dict[str, float] = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            if sample.name == "modelyard_api_writes_total":
                resource = sample.labels["resource"]
                writes[resource] = writes.get(resource, 0) + sample.value
            elif not sample.labels:
                values[sample.name] = sample.value
    return Metrics(values["process_cpu_seconds_total"], values["process_resident_memory_bytes"], writes)
