"""The bodies of the REST API. Bodies of requests are validated, bodies of responses are documented."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Final

from pydantic import Field, WithJsonSchema

from modelyard.api.autoscaler import AutoScaler
from modelyard.api.base import ApiType, Boolean
from modelyard.api.data_collection import ModelDataCollection
from modelyard.api.image import ImageSpec, ImageType
from modelyard.api.manifest import ManifestSpec
from modelyard.api.model import ModelSpec
from modelyard.api.names import DisplayName
from modelyard.api.pod.settings import PodSettings
from modelyard.api.route import Route
from modelyard.api.service import (
    REPLICAS_RULE,
    ComputeResource,
    ConcurrentRequests,
    ContainerResourceReservation,
    Replicas,
)
from modelyard.api.status import ErrorResponse, State

Id = Annotated[str, Field(min_length=1, max_length=300)]
Moment = Annotated[str, Field(json_schema_extra={"format": "date-time", "readOnly": True})]
# The document has no copy of the fields: `kubectl explain msvc.spec.pod` describes each.
Pod = Annotated[
    PodSettings,
    WithJsonSchema({"type": "object", "additionalProperties": True, "examples": [{"env": [{"name": "A"}]}]}),
]
READ_ONLY: Final = Field(json_schema_extra={"readOnly": True})


class Model(ModelSpec):
    """A model: a file at a URL. The same name again registers the next version."""

    name: DisplayName
    """Name of the model."""
    id: Annotated[str | None, READ_ONLY] = None
    """Id of this version."""
    version: Annotated[int | None, READ_ONLY] = None
    """Version, assigned by the service."""
    created_at: Annotated[Moment | None, READ_ONLY] = None
    """Time of the registration (UTC)."""


class Manifest(ManifestSpec):
    """Models, a driver and their runtime."""

    name: DisplayName
    """Name of the manifest."""
    model_ids: Annotated[tuple[Id, ...], Field(max_length=100)] = ()
    """Ids of registered models."""
    id: Annotated[str | None, READ_ONLY] = None
    """Id of this version."""
    version: Annotated[int | None, READ_ONLY] = None
    """Version, assigned by the service."""
    created_time: Annotated[Moment | None, READ_ONLY] = None
    """Time of the creation (UTC)."""


class ImageRequest(ImageSpec):
    """A request to build an image."""

    name: DisplayName
    """Name of the image."""
    manifest_id: Id
    """Id of the manifest to build."""
    compute_resource_id: Annotated[str, Field(max_length=255)]
    """Id of the environment; the image is built in this cluster for any value."""


class Image(ApiType):
    """An image and the state of its build."""

    id: str | None = None
    """Id of this version."""
    name: str | None = None
    """Name of the image."""
    version: int | None = None
    """Version, assigned by the service."""
    description: str | None = None
    """Purpose of the image, for people."""
    compute_resource_id: str | None = None
    """Id of the environment in the request."""
    created_time: Moment | None = None
    """Time of the creation (UTC)."""
    creation_state: State | None = None
    """State of the build."""
    error: ErrorResponse | None = None
    """Error of a failed build."""
    image_build_log_uri: str | None = None
    """URL of the build's log; it accepts the same token."""
    image_location: str | None = None
    """Reference of the image in the registry, pinned by digest."""
    image_type: ImageType | None = None
    """Docker."""
    manifest: Manifest | None = None
    """Manifest of the image."""


class ServiceConfiguration(ApiType):
    """The configuration of a service.

    Its fields are those of ServiceSpec, without defaults: an update changes only the fields in the request.
    """

    # The API server checks the other rules of the whole Service: an update has a part of its fields.
    rules = (REPLICAS_RULE,)

    num_replicas: Replicas | None = None
    """Fixed number of replicas; not together with an enabled autoscaler."""
    auto_scaler: AutoScaler | None = None
    """Settings of the autoscaler."""
    container_resource_reservation: ContainerResourceReservation | None = None
    """CPU and memory that each replica reserves."""
    max_concurrent_requests_per_container: ConcurrentRequests | None = None
    """Requests that one replica scores at the same time. Above 1, each has a process with a copy of the
    model. At most 4 processes are started. The driver's line THREAD_SAFE = True chooses threads of one, and
    async def run one event loop."""
    app_insights_enabled: Boolean | None = None
    """Export a trace of each request to the installation's collector, if it has one."""
    data_collection: ModelDataCollection | None = None
    """Collection of the inputs and predictions of scoring requests. The fields other than eventHubEnabled and
    storageEnabled are not part of the API of 2017."""
    pod: Pod | None = None
    """Settings of the replicas' pods, such as env, resources and volumes, in the shape of Kubernetes: those
    of spec.pod of a Service in the cluster. Not part of the API of 2017."""
    route: Route | None = None
    """Public address of the service, if the platform publishes services. Not part of the API of 2017."""


class ServiceCreateRequest(ServiceConfiguration):
    """A request to create a service."""

    name: DisplayName
    """Name of the service."""
    image_id: Id
    """Id of the image to serve."""
    compute_resource: ComputeResource
    """Compute resource; the service runs in this cluster for any value."""


class ServiceUpdateRequest(ServiceConfiguration):
    """A request to update a service; fields that it does not contain stay as they are."""

    image_id: Id | None = None
    """Id of the image to serve."""


class ServiceResponse(ServiceConfiguration):
    """A service, its configuration and its state."""

    id: str | None = None
    """Id of the service."""
    name: str | None = None
    """Name of the service."""
    state: State | None = None
    """State of its newest operation."""
    error: ErrorResponse | None = None
    """Error of a failed operation."""
    scoring_uri: str | None = None
    """URL to which clients POST scoring requests."""
    created_at: Moment | None = None
    """Time of the creation (UTC)."""
    updated_at: Moment | None = None
    """Time of the latest update (UTC)."""
    image: Image | None = None
    """Image that the service runs."""
    manifest: Manifest | None = None
    """Manifest of that image."""
    models: tuple[Model, ...] | None = None
    """Models of that manifest."""
    compute_resource: ComputeResource
    """Compute resource of the service."""


class KeyType(StrEnum):
    """The primary or the secondary key."""

    PRIMARY = "Primary"
    SECONDARY = "Secondary"


class ServiceRegenerateKeyRequest(ApiType):
    """A request to replace a key."""

    key_type: KeyType | None = None
    """Key to replace; both keys are replaced without it."""


class AuthKeys(ApiType):
    """The keys of a service; scoring requests need one of them."""

    primary_key: str | None = None
    """The primary key."""
    secondary_key: str | None = None
    """The secondary key."""


class Deployment(ApiType):
    """A version of a service."""

    id: str | None = None
    """Id of the deployment."""
    service_name: str | None = None
    """Name of the service."""
    image_id: str | None = None
    """Id of its image."""
    created_at: Moment | None = None
    """Time of the creation (UTC)."""
    expired_at: Moment | None = None
    """Creation time of the next deployment (UTC)."""
    status: str | None = None
    """State of the deployment."""


class OperationType(StrEnum):
    """The kind of object of an operation."""

    IMAGE = "Image"
    SERVICE = "Service"


class AsyncOperationStatus(ApiType):
    """The status of an operation."""

    id: str | None = None
    """Id of the operation."""
    operation_type: OperationType | None = None
    """Kind of the object: Image or Service."""
    state: State | None = None
    """State of the operation."""
    created_time: Moment | None = None
    """Start of the operation (UTC)."""
    end_time: Moment | None = None
    """End of the operation (UTC)."""
    error: ErrorResponse | None = None
    """Error of a failed operation."""
    resource_location: str | None = None
    """URL of the image or the service."""


class PaginatedModelList(ApiType):
    """A page of models."""

    value: tuple[Model, ...] | None = None
    """The models."""
    next_link: str | None = None
    """Absolute URI of the next page; absent on the last one."""


class PaginatedManifestList(ApiType):
    """A page of manifests."""

    value: tuple[Manifest, ...] | None = None
    """The manifests."""
    next_link: str | None = None
    """Absolute URI of the next page; absent on the last one."""


class PaginatedImageList(ApiType):
    """A page of images."""

    value: tuple[Image, ...] | None = None
    """The images."""
    next_link: str | None = None
    """Absolute URI of the next page; absent on the last one."""


class PaginatedServiceList(ApiType):
    """A page of services."""

    value: tuple[ServiceResponse, ...] | None = None
    """The services."""
    next_link: str | None = None
    """Absolute URI of the next page; absent on the last one."""
