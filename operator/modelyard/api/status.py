"""Status: state of the newest version's operation, conditions of kstatus, what each kind observes.

kstatus: https://github.com/kubernetes-sigs/cli-utils/blob/master/pkg/kstatus/README.md
"""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

from pydantic import Field

from modelyard.api.base import ApiType


class State(StrEnum):
    """AsyncOperationState of the 2017 API."""

    NOT_STARTED = "NotStarted"
    RUNNING = "Running"
    CANCELLED = "Cancelled"
    SUCCEEDED = "Succeeded"
    FAILED = "Failed"

    @property
    def ended(self) -> bool:
        """Whether the operation has come to its end."""
        return self in {State.CANCELLED, State.SUCCEEDED, State.FAILED}


class ErrorDetail(ApiType):
    """One detail of an error."""

    code: str
    """What kind of detail it is."""
    message: str
    """The detail."""


class ErrorResponse(ApiType):
    """Why an operation failed."""

    code: str
    """Stable code of the failure, such as PipFailed."""
    message: str
    """What happened and what to do."""
    status_code: int | None = None
    """HTTP status code of the failure."""
    details: tuple[ErrorDetail, ...] = ()
    """More about it: the last lines of the build's log, or the container's."""


class ConditionStatus(StrEnum):
    """Status of a condition."""

    TRUE = "True"
    FALSE = "False"
    UNKNOWN = "Unknown"


class Condition(ApiType):
    """A condition as the Kubernetes API conventions define it."""

    type: str
    """Ready, Reconciling, Stalled; a Service also Available."""
    status: ConditionStatus
    """True, False or Unknown."""
    observed_generation: int | None = None
    """metadata.generation that the condition speaks of."""
    last_transition_time: Annotated[str, Field(json_schema_extra={"format": "date-time"})]
    """When the status last changed."""
    reason: str
    """One word for the cause, in CamelCase."""
    message: str
    """The cause in a sentence."""


class Status(ApiType):
    """What the operator observed last."""

    observed_generation: int | None = None
    """metadata.generation that this status speaks of."""
    id: str | None = None
    """Id of the newest version, name:version."""
    version: int | None = None
    """Newest version: 1, 2, 3 and so on."""
    created_time: Annotated[str, Field(json_schema_extra={"format": "date-time"})] | None = None
    """When the newest version was made."""
    operation_id: str | None = None
    """Name of the ControllerRevision that records the newest version and its operation."""
    state: State | None = None
    """State of the newest version's operation: NotStarted, Running, Cancelled, Succeeded, Failed."""
    error: ErrorResponse | None = None
    """Why the operation failed."""
    conditions: Annotated[
        tuple[Condition, ...],
        Field(json_schema_extra={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["type"]}),
    ] = ()
    """Ready, Reconciling and Stalled as kstatus reads them."""


class ModelStatus(Status):
    """What the operator observed of a model."""


class ManifestStatus(Status):
    """What the operator observed of a manifest."""

    model_ids: tuple[str, ...] = ()
    """Models of the newest version, each as name:version."""


class ImageStatus(Status):
    """What the operator observed of an image."""

    creation_state: State | None = None
    """State of the build, the same as state."""
    manifest_id: str | None = None
    """Manifest that is built, as name:version."""
    progress: str | None = None
    """How far a build at work is: its step and bytes of the total, or what keeps it from beginning."""
    image_location: str | None = None
    """The newest version in the registry, pinned by digest."""
    image_build_log_uri: str | None = None
    """Path of the API server with the kept log of the build, for kubectl get --raw."""


class ServiceStatus(Status):
    """What the operator observed of a service."""

    scoring_uri: str | None = None
    """Where to POST requests."""
    replicas: int | None = None
    """Replicas there are."""
    ready_replicas: int | None = None
    """Replicas that answer."""
    image_id: str | None = None
    """Image of the newest version, as name:version."""
    manifest_id: str | None = None
    """Manifest of that image, as name:version."""
    model_ids: tuple[str, ...] = ()
    """Models of that image, each as name:version."""
    image_location: str | None = None
    """That image in the registry, pinned by digest."""
