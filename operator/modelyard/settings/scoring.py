"""Settings of Services and their pods."""

from __future__ import annotations

from typing import Annotated, Any, Final

from pydantic import AfterValidator, Field

from modelyard.api.crd import build_schema
from modelyard.api.pod.settings import PodSettings
from modelyard.scoring.contract import USER_ID
from modelyard.settings.section import Section

EVERY_NAME: Final = "*"

SPREAD: Final[tuple[dict[str, Any], ...]] = tuple(
    {
        "maxSkew": 1,
        "topologyKey": key,
        "whenUnsatisfiable": "ScheduleAnyway",
        # Pods of another template, which a rollout replaces, do not count.
        "matchLabelKeys": ["pod-template-hash"],
    }
    for key in ("kubernetes.io/hostname", "topology.kubernetes.io/zone")
)
"""Replicas of a Service on different nodes and in different zones, as far as these have room. The default of
Kubernetes is weaker: up to 3 more replicas on one node than on another, and 5 more in one zone.
https://kubernetes.io/docs/concepts/scheduling-eviction/topology-spread-constraints/#internal-default-constraints"""


def _no_limit_below_request(factor: float) -> float:
    if 0 < factor < 1:
        raise ValueError(f"{factor} must be 0 or at least 1: a memory limit below the request is refused")
    return factor


def _fields_of_a_pod(paths: tuple[str, ...]) -> tuple[str, ...]:
    """Return paths of fields in spec.pod. Raises ValueError for another path, which would deny nothing."""
    schema = build_schema(PodSettings) if paths else {}
    for path in paths:
        if not _has_field(schema, path):
            raise ValueError(f"spec.pod has no field {path}: use the names of the reference, without indexes")
    return paths


def _has_field(schema: dict[str, Any], path: str) -> bool:
    """Return whether a schema has a field at a path, to which the items of a list add no part."""
    while "items" in schema:
        schema = schema["items"]
    if "additionalProperties" in schema:
        return True  # a map with keys of users, such as the names of resources
    name, dot, rest = path.partition(".")
    field = schema.get("properties", {}).get(name)
    return field is not None and (not dot or _has_field(field, rest))


class PodPolicySettings(Section):
    """Limits of `spec.pod` of Services."""

    required: PodSettings = PodSettings()  # overrides spec.pod
    # Paths in spec.pod that a Service must not set.
    denied_fields: Annotated[tuple[str, ...], AfterValidator(_fields_of_a_pod)] = ()
    priority_class_names: tuple[str, ...] = ()  # that a Service may choose; EVERY_NAME allows all
    runtime_class_names: tuple[str, ...] = ()
    service_account_names: tuple[str, ...] = (EVERY_NAME,)


class ScoringSettings(Section):
    """Settings of Services."""

    cluster_domain: str = "cluster.local"
    image_pull_secrets: tuple[str, ...] = ()
    progress_deadline_seconds: Annotated[int, Field(ge=10)] = 600
    pre_stop_seconds: Annotated[int, Field(ge=0)] = 5  # until each kube-proxy has removed the pod
    drain_seconds: Annotated[int, Field(ge=1)] = 30
    # Milliseconds of one run(); the default of azureml-inference-server-http.
    scoring_timeout_ms: Annotated[int, Field(ge=1)] = 3_600_000
    tmp_size: str = "10Gi"  # of the volume /tmp of a pod, which is evicted beyond it
    # Memory limit of each pod, as a multiple of its memory request; 0 sets no limit.
    memory_limit_factor: Annotated[float, Field(ge=0), AfterValidator(_no_limit_below_request)] = 4
    # Local disk of the node that each pod reserves; empty neither reserves nor limits it.
    ephemeral_storage_request: str = "256Mi"
    limits: dict[str, Any] = Field(default_factory=dict)  # replace the limits that follow from the above
    node_selector: dict[str, str] = Field(default_factory=dict)
    tolerations: tuple[dict[str, Any], ...] = ()
    topology_spread_constraints: tuple[dict[str, Any], ...] = SPREAD  # without labelSelector
    priority_class_name: str | None = None
    runtime_class_name: str | None = None
    workers: Annotated[int, Field(ge=1)] = 1  # worker processes with the driver in each pod
    pod: PodPolicySettings = PodPolicySettings()
    run_as_user: int = USER_ID
    # Roll the template of a new release or of changed settings out without a new version of the Service.
    roll_on_upgrade: bool = False
    concurrent_rolls: Annotated[int, Field(ge=1)] = (
        3  # Services that roll out such a template at the same time
    )
    scales_to_zero: bool = True  # the chart has an activator, so minReplicas 0 means no replica
    # Time for which the activator holds a request, and in which a first replica is expected.
    wake_seconds: Annotated[float, Field(gt=0)] = 60
    has_requests_metric: bool = True  # the cluster serves modelyard_scoring_utilization for autoscalers
    otlp_endpoint: str | None = None  # URL for traces of Services with appInsightsEnabled: OTLP over HTTP
    app_insights_secret: str | None = None  # Secret for Azure Monitor, in the namespace of each Service
    app_insights_secret_key: str = "connectionString"  # noqa: S105 - key in app_insights_secret

    @property
    def sends_traces(self) -> bool:
        """Return whether traces of Services with appInsightsEnabled have a destination."""
        return bool(self.otlp_endpoint or self.app_insights_secret)
