"""The kind Service: an Image that answers scoring requests, with replicas, resource requests and keys."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Final

from pydantic import Field

from modelyard.api.autoscaler import AutoScaler, UtilizationMetric
from modelyard.api.base import INTEGER, ApiType, Boolean
from modelyard.api.data_collection import ModelDataCollection
from modelyard.api.names import DisplayName, ImageRef
from modelyard.api.pod.resources import limit_rule
from modelyard.api.pod.settings import PodSettings
from modelyard.api.quantities import Cpu, Memory
from modelyard.api.route import Route
from modelyard.api.rules import Rule

# Defaults of the 2017 API.
CPU: Final = "100m"
MEMORY: Final = "512Mi"

Replicas = Annotated[int, Field(ge=0, le=10000), INTEGER]
ConcurrentRequests = Annotated[int, Field(ge=1, le=10000), INTEGER]


class ContainerResourceReservation(ApiType):
    """Resource requests of each replica."""

    cpu: Cpu | None = None
    """CPU request of each replica: a Kubernetes quantity such as 100m, 2 or "0.5" in quotes. Default:
    100m."""
    memory: Memory | None = None
    """Memory request of each replica: a Kubernetes quantity such as 256Mi. Default: 512Mi."""


class ComputeResourceType(StrEnum):
    """Type of a compute resource."""

    CLUSTER = "Cluster"


class ComputeResource(ApiType):
    """Accepted for clients of the 2017 API and ignored: the Service runs in this cluster."""

    id: Annotated[str, Field(max_length=1024)] | None = None
    """Id of the compute resource."""
    type: ComputeResourceType | None = None
    """Type of the compute resource. The only value is Cluster."""


_DEFAULT_SCALER: Final = AutoScaler()
REPLICAS_RULE: Final = Rule(
    cel="!(has(self.numReplicas) && has(self.autoScaler) && has(self.autoScaler.autoscaleEnabled)"
    " && self.autoScaler.autoscaleEnabled)",
    message="numReplicas and an enabled autoScaler exclude each other: remove one of them. An autoscaled"
    " Service is scaled by autoScaler.minReplicas and maxReplicas",
    is_valid=lambda spec: (
        not (spec.num_replicas is not None and spec.auto_scaler and spec.auto_scaler.autoscale_enabled)
    ),
    field=".numReplicas",
)
_DEFAULT_ROUTE: Final = Route()


class ServiceSpec(ApiType):
    """A scoring endpoint. A change of any field makes the next version, rolled without losing a request."""

    rules = (REPLICAS_RULE, limit_rule("cpu", CPU), limit_rule("memory", MEMORY))

    name: DisplayName | None = None
    """Display name. Default: metadata.name."""
    image_id: ImageRef
    """Image to serve: `name` follows the newest built version, `name:version` pins one version."""
    compute_resource: ComputeResource | None = None
    """Accepted for clients of the 2017 API and ignored: the Service runs in this cluster."""
    num_replicas: Replicas | None = None
    """Fixed number of replicas; 0 runs no replica. If numReplicas is not set, the autoscaler sets the number.
    If the autoscaler is disabled too, the Deployment starts with 1 replica and then keeps its number."""
    auto_scaler: AutoScaler | None = None
    """Settings of the HorizontalPodAutoscaler."""
    container_resource_reservation: ContainerResourceReservation | None = None
    """Resource requests of each replica."""
    max_concurrent_requests_per_container: ConcurrentRequests = 1
    """Maximum number of requests that one replica scores at the same time. Default: 1. Above 1, each of these
    requests has a process, in which init() loads a copy of the model: reserve memory for all of them. At most
    4 processes are started, or 64 if the driver has the line THREAD_SAFE = False. With the line
    THREAD_SAFE = True, threads of one process with one model call run() at once. With async def run, one
    process with one model has all requests in flight on its event loop. Further requests wait in a queue,
    and get HTTP 503 if the wait would be too long."""
    app_insights_enabled: Boolean = False
    """If true, a trace of each scoring request is exported to the collector of the chart
    (scoring.otlpEndpoint). Default: false."""
    data_collection: ModelDataCollection | None = None
    """Collection of the inputs and predictions of scoring requests (docs/data-collection.md)."""
    pod: PodSettings | None = None
    """Settings of the replicas' pods, with the names and shapes of Kubernetes."""
    route: Route | None = None
    """Public address of the Service, if the platform publishes Services."""

    @property
    def collects(self) -> bool:
        """True if records of the requests have a destination."""
        return self.data_collection is not None and self.data_collection.is_enabled

    @property
    def autoscales(self) -> bool:
        """True if a HorizontalPodAutoscaler sets the number of replicas."""
        enabled = self.auto_scaler.autoscale_enabled if self.auto_scaler else None
        return self.num_replicas is None if enabled is None else enabled

    @property
    def scales_on_requests(self) -> bool:
        """True if the autoscaler is to scale by running and waiting requests."""
        return self.autoscales and self.scaling.effective_metric is UtilizationMetric.REQUESTS

    @property
    def may_sleep(self) -> bool:
        """True if the Service goes to 0 replicas while it gets no requests."""
        return self.autoscales and self.num_replicas is None and self.scaling.effective_min == 0

    @property
    def pauses_autoscaler(self) -> bool:
        """True if only numReplicas, for example of `kubectl scale`, disables a configured autoscaler."""
        configured = self.auto_scaler is not None and self.auto_scaler.autoscale_enabled is None
        return configured and self.num_replicas is not None

    @property
    def scaling(self) -> AutoScaler:
        """Settings of the autoscaler, or the default settings."""
        return self.auto_scaler or _DEFAULT_SCALER

    @property
    def public_route(self) -> Route:
        """Settings of the public address, or the default settings."""
        return self.route or _DEFAULT_ROUTE

    @property
    def min_replicas(self) -> int:
        """Minimum number of replicas; at least 1 with an autoscaler."""
        if self.num_replicas is not None:
            return self.num_replicas
        return max(self.scaling.effective_min, 1) if self.autoscales else 1
