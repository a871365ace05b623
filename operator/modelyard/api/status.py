"""Status of the four kinds: state of the newest version's operation, and conditions for kstatus.

kstatus: https://github.com/kubernetes-sigs/cli-utils/blob/master/pkg/kstatus/README.md
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Annotated, Any

from pydantic import Field

from modelyard.api.base import ApiType
from modelyard.api.conditions import find_condition


class State(StrEnum):
    """State of an operation: AsyncOperationState of the 2017 API."""

    NOT_STARTED = "NotStarted"
    RUNNING = "Running"
    CANCELLED = "Cancelled"
    SUCCEEDED = "Succeeded"
    FAILED = "Failed"

    @property
    def ended(self) -> bool:
        """True if the operation has ended: Cancelled, Succeeded or Failed."""
        return self in {State.CANCELLED, State.SUCCEEDED, State.FAILED}


class ErrorDetail(ApiType):
    """One detail of an error."""

    code: str
    """Code of the detail, in CamelCase."""
    message: str
    """Text of the detail."""


class ErrorResponse(ApiType):
    """The error of a failed operation."""

    code: str
    """Stable code of the error, such as PipFailed."""
    message: str
    """Description of the error, and the action that resolves it."""
    status_code: int | None = None
    """HTTP status code of the error."""
    details: tuple[ErrorDetail, ...] = ()
    """Details of the error, such as the last lines of the log of the build or of the container."""


class ConditionStatus(StrEnum):
    """Status of a condition: True, False or Unknown."""

    TRUE = "True"
    FALSE = "False"
    UNKNOWN = "Unknown"


class Condition(ApiType):
    """A condition as the Kubernetes API conventions define it."""

    type: str
    """Type of the condition: Ready, Reconciling or Stalled; a Service also has Available."""
    status: ConditionStatus
    """Status of the condition: True, False or Unknown."""
    observed_generation: int | None = None
    """metadata.generation of the object when the condition was set."""
    last_transition_time: Annotated[str, Field(json_schema_extra={"format": "date-time"})]
    """Time of the last change of the condition's status (RFC 3339)."""
    reason: str
    """Reason for the condition's status: one word in CamelCase."""
    message: str
    """Reason for the condition's status: a sentence for human readers."""


class Status(ApiType):
    """The most recently observed status of the object, written by the operator."""

    observed_generation: int | None = None
    """metadata.generation of the object that this status describes; -1 before the operator has seen the
    object."""
    id: str | None = None
    """Id of the newest version, as name:version."""
    version: int | None = None
    """Number of the newest version: 1, 2, 3 and so on."""
    created_time: Annotated[str, Field(json_schema_extra={"format": "date-time"})] | None = None
    """Creation time of the newest version (RFC 3339)."""
    operation_id: str | None = None
    """Id of the newest version's operation: the name of the ControllerRevision that records both."""
    state: State | None = None
    """State of the newest version's operation: NotStarted, Running, Cancelled, Succeeded or Failed."""
    error: ErrorResponse | None = None
    """Error of the operation, if the operation failed."""
    conditions: Annotated[
        tuple[Condition, ...],
        Field(json_schema_extra={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["type"]}),
    ] = ()
    """Conditions for kstatus: Ready, Reconciling and Stalled. A Service also has Available: some replica
    answers requests."""


class ModelStatus(Status):
    """The most recently observed status of a Model."""


class ManifestStatus(Status):
    """The most recently observed status of a Manifest."""

    model_ids: tuple[str, ...] = ()
    """Ids of the newest version's models, each as name:version."""


Time = Annotated[str, Field(json_schema_extra={"format": "date-time"})]


class ImageTimeline(ApiType):
    """Times of the newest version of an Image (RFC 3339). A reused image has `seen` only."""

    seen: Time | None = None
    """Time at which the operator recorded the version."""
    fetched: Time | None = None
    """Time at which the build had fetched the models and assets."""
    built: Time | None = None
    """Time at which the build had the packages and the layers."""
    pushed: Time | None = None
    """Time at which the image was in the registry."""


class ServiceTimeline(ApiType):
    """Times of the newest version of a Service (RFC 3339)."""

    seen: Time | None = None
    """Time at which the operator saw the change that made the version: of the Service, or of the Image,
    Manifest or Model that it follows."""
    pulled: Time | None = None
    """Time at which the first container of the version started, right after the pull of its image. A version
    without new pods has none."""
    first_answer: Time | None = None
    """Time of the first answer of the version: a replica answered the readiness probe with 200. From then on
    the version answers requests."""
    ready: Time | None = None
    """Time at which the rollout ended with all replicas, equal to endTime."""


class ImageStatus(Status):
    """The most recently observed status of an Image."""

    creation_state: State | None = None
    """State of the build, equal to state."""
    manifest_id: str | None = None
    """Id of the Manifest that the newest version is built from, as name:version."""
    progress: str | None = None
    """Progress of a running build: the current step and its bytes, or the reason why the build cannot
    start."""
    image_location: str | None = None
    """Location of the newest version in the registry, pinned by digest."""
    platforms: tuple[str, ...] = ()
    """Platforms of the newest version, such as linux/amd64. Absent if the registry did not name them."""
    image_build_log_uri: str | None = None
    """URL path on the API server of the saved build log, for `kubectl get --raw`."""
    timeline: ImageTimeline | None = None
    """Times of the newest version."""


class ServiceStatus(Status):
    """The most recently observed status of a Service."""

    url: str | None = None
    """Public URL of the Service, below which /score, /docs and /swagger.json are. Absent without a route."""
    scoring_uri: str | None = None
    """URL for scoring requests (HTTP POST): the public one once the route is programmed, otherwise the one
    inside the cluster."""
    end_time: Annotated[str, Field(json_schema_extra={"format": "date-time"})] | None = None
    """Time at which the rollout of the newest version ended (RFC 3339)."""
    replicas: int | None = None
    """Number of replicas of the Deployment."""
    ready_replicas: int | None = None
    """Number of ready replicas."""
    utilization: int | None = None
    """Mean utilisation of the ready replicas in percent, in steps of 10, as the autoscaler last saw it.
    Absent without an autoscaler, and without a figure."""
    selector: str | None = None
    """Label selector of the pods, for `kubectl scale` and autoscalers."""
    image_id: str | None = None
    """Id of the newest version's Image, as name:version."""
    manifest_id: str | None = None
    """Id of that Image's Manifest, as name:version."""
    model_ids: tuple[str, ...] = ()
    """Ids of that Image's models, each as name:version."""
    image_location: str | None = None
    """Location of that Image in the registry, pinned by digest."""
    timeline: ServiceTimeline | None = None
    """Times of the newest version."""


def operation_end(status: Mapping[str, Any]) -> str | None:
    """Return the time at which the operation of a status ended (RFC 3339), None before its end.

    A status of release 0.2.0 has no endTime. The last transition of Ready is then the nearest time.
    """
    if not State(status.get("state", State.NOT_STARTED)).ended:
        return None
    ready = find_condition("Ready", status) or {}
    return status.get("endTime") or ready.get("lastTransitionTime")
