"""Service: an image that answers requests, with its scale, its reservation and its keys."""

from __future__ import annotations

from decimal import Decimal
from enum import StrEnum
from typing import Annotated, Any, Final, cast

from pydantic import Field, SkipValidation, WithJsonSchema

from modelyard.api.base import INTEGER, ApiType, Boolean
from modelyard.api.names import DisplayName, ImageRef
from modelyard.api.rules import Rule
from modelyard.kube.quantity import QUANTITY, parse_quantity

# The old service's defaults.
MIN_REPLICAS: Final = 1
MAX_REPLICAS: Final = 10
TARGET_UTILIZATION: Final = 70
REFRESH_PERIOD_SECONDS: Final = 1
CPU: Final = "100m"
MEMORY: Final = "512Mi"

_LONGEST: Final = 32


def _quantity_rule(field: str, least: str, most: str, examples: str) -> Rule:
    low, high = (cast(Decimal, parse_quantity(bound)) for bound in (least, most))

    def holds(quantity: Any) -> bool:
        if not isinstance(quantity, str | int) or len(str(quantity)) > _LONGEST:
            return False
        value = parse_quantity(quantity)
        return value is not None and low <= value <= high

    text = "string(self)"
    return Rule(
        cel=f"{text}.matches(r'{QUANTITY.pattern}')"
        f" && !quantity({text}).isLessThan(quantity('{least}'))"
        f" && !quantity({text}).isGreaterThan(quantity('{most}'))",
        message=f"{field} must be a Kubernetes quantity from {least} to {most}, such as {examples}",
        holds=holds,
    )


# The rule is the only check, so that one sentence answers whatever is wrong.
_INT_OR_STRING: Final = WithJsonSchema({"x-kubernetes-int-or-string": True, "maxLength": _LONGEST})
Cpu = Annotated[
    SkipValidation[str | int],
    _INT_OR_STRING,
    _quantity_rule("cpu", "1m", "10k", '100m, 2 or "0.5" in quotes'),
]
Memory = Annotated[
    SkipValidation[str | int],
    _INT_OR_STRING,
    _quantity_rule("memory", "1Mi", "1Pi", "512Mi or 2G; m means a thousandth"),
]


class AutoScaler(ApiType):
    """How the number of replicas follows the load."""

    rules = (
        Rule(
            cel=f"(has(self.minReplicas) ? self.minReplicas : {MIN_REPLICAS})"
            f" <= (has(self.maxReplicas) ? self.maxReplicas : {MAX_REPLICAS})",
            message=f"autoScaler.minReplicas (default {MIN_REPLICAS}) must not exceed autoScaler.maxReplicas"
            f" (default {MAX_REPLICAS})",
            holds=lambda scaler: scaler.effective_min <= scaler.effective_max,
            field=".minReplicas",
        ),
    )

    autoscale_enabled: Boolean | None = None
    """Whether the number of replicas follows the load; by default it does when numReplicas is not given."""
    min_replicas: Annotated[int, Field(ge=0, le=10000), INTEGER] | None = None
    """Fewest replicas, 1 by default; 0 acts as 1 while CPU is the only metric."""
    max_replicas: Annotated[int, Field(ge=1, le=10000), INTEGER] | None = None
    """Most replicas, 10 by default."""
    # The most a HorizontalPodAutoscaler takes as periodSeconds is 1800.
    refresh_period_in_seconds: Annotated[int, Field(ge=1, le=1800), INTEGER] | None = None
    """Seconds between changes of the number of replicas, 1 by default."""
    target_utilization: Annotated[int, Field(ge=0, le=100), INTEGER] | None = None
    """Utilisation of the reserved CPU, in percent, above which replicas are added; 70 by default, 0 acts
    as 1."""

    @property
    def effective_min(self) -> int:
        """MinReplicas with its default."""
        return MIN_REPLICAS if self.min_replicas is None else self.min_replicas

    @property
    def effective_max(self) -> int:
        """MaxReplicas with its default."""
        return MAX_REPLICAS if self.max_replicas is None else self.max_replicas


class ContainerResourceReservation(ApiType):
    """What each replica reserves (requests)."""

    cpu: Cpu | None = None
    """CPU of each replica, a Kubernetes quantity such as 100m, 2 or "0.5" in quotes; 100m by default."""
    memory: Memory | None = None
    """Memory of each replica, a Kubernetes quantity such as 256Mi; 512Mi by default."""


class ComputeResourceType(StrEnum):
    """Where a service runs."""

    CLUSTER = "Cluster"


class ComputeResource(ApiType):
    """Accepted for clients of the 2017 API; this cluster serves."""

    id: Annotated[str, Field(max_length=1024)] | None = None
    """Id of the compute resource."""
    type: ComputeResourceType | None = None
    """Cluster."""


class ModelDataCollection(ApiType):
    """Collection of inputs and predictions."""

    event_hub_enabled: Boolean = False
    """Send them to an event hub; not supported yet."""
    storage_enabled: Boolean = False
    """Keep them in storage; not supported yet."""


_DEFAULT_SCALER: Final = AutoScaler()


class ServiceSpec(ApiType):
    """A scoring endpoint. A change of any field makes the next version, rolled without losing a request."""

    rules = (
        Rule(
            cel="!(has(self.numReplicas) && has(self.autoScaler) && has(self.autoScaler.autoscaleEnabled)"
            " && self.autoScaler.autoscaleEnabled)",
            message="numReplicas and an enabled autoScaler exclude each other: leave one of them out",
            holds=lambda spec: (
                not (
                    spec.num_replicas is not None and spec.auto_scaler and spec.auto_scaler.autoscale_enabled
                )
            ),
            field=".numReplicas",
        ),
    )

    name: DisplayName | None = None
    """Display name; metadata.name by default."""
    image_id: ImageRef
    """Image to serve: name follows the newest built version, name:version stays at one."""
    compute_resource: ComputeResource | None = None
    """Accepted for clients of the 2017 API; this cluster serves."""
    num_replicas: Annotated[int, Field(ge=0, le=10000), INTEGER] | None = None
    """Fixed number of replicas; 0 means none. Without it the autoscaler is on; with that disabled, there
    stay as many as there are, 1 at first."""
    auto_scaler: AutoScaler | None = None
    """How the number of replicas follows the load."""
    container_resource_reservation: ContainerResourceReservation | None = None
    """What each replica reserves (requests)."""
    max_concurrent_requests_per_container: Annotated[int, Field(ge=1, le=10000), INTEGER] = 1
    """Requests that one replica scores at once; further ones wait shortly, then get 503."""
    app_insights_enabled: Boolean = False
    """Export a trace of each scoring request to the collector that the chart names (scoring.otlpEndpoint)."""
    data_collection: ModelDataCollection | None = None
    """Collection of inputs and predictions; not supported yet."""

    @property
    def autoscales(self) -> bool:
        """Whether an autoscaler owns the number of replicas."""
        enabled = self.auto_scaler.autoscale_enabled if self.auto_scaler else None
        return self.num_replicas is None if enabled is None else enabled

    @property
    def scaling(self) -> AutoScaler:
        """The autoscaler's settings, defaults where there are none."""
        return self.auto_scaler or _DEFAULT_SCALER

    @property
    def min_replicas(self) -> int:
        """The replicas there are at least; with CPU as the only metric an autoscaler keeps one."""
        if self.num_replicas is not None:
            return self.num_replicas
        return max(self.scaling.effective_min, 1) if self.autoscales else 1
