"""The definitions of the API. Those that a client sends are checked; those that it gets are documented."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Final

from pydantic import Field

from modelyard.api.base import INTEGER, ApiType, Boolean
from modelyard.api.image import ImageType
from modelyard.api.manifest import ManifestSpec
from modelyard.api.model import ModelSpec
from modelyard.api.names import DisplayName
from modelyard.api.service import (
    AutoScaler,
    ComputeResource,
    ContainerResourceReservation,
    ModelDataCollection,
    ServiceSpec,
)
from modelyard.api.status import ErrorResponse, State

Id = Annotated[str, Field(min_length=1, max_length=300)]
Text = Annotated[str, Field(max_length=4096)]
Moment = Annotated[str, Field(json_schema_extra={"format": "date-time", "readOnly": True})]
READ_ONLY: Final = Field(json_schema_extra={"readOnly": True})


class Model(ModelSpec):
    """A model: a file and where it is. The same name again registers the next version."""

    name: DisplayName
    """Name of the model."""
    id: Annotated[str | None, READ_ONLY] = None
    """Id of this version."""
    version: Annotated[int | None, READ_ONLY] = None
    """Revision, given by the service."""
    created_at: Annotated[Moment | None, READ_ONLY] = None
    """When it was registered (UTC)."""


class Manifest(ManifestSpec):
    """Models, a driver and the runtime they need."""

    name: DisplayName
    """Name of the manifest."""
    model_ids: Annotated[tuple[Id, ...], Field(max_length=100)] = ()
    """Ids of registered models."""
    id: Annotated[str | None, READ_ONLY] = None
    """Id of this version."""
    version: Annotated[int | None, READ_ONLY] = None
    """Revision, given by the service."""
    created_time: Annotated[Moment | None, READ_ONLY] = None
    """When it was created (UTC)."""


class ImageRequest(ApiType):
    """A request to build an image."""

    name: DisplayName
    """Name of the image."""
    manifest_id: Id
    """Id of the manifest to build."""
    image_type: ImageType
    """Docker."""
    compute_resource_id: Annotated[str, Field(max_length=255)]
    """Id of the environment; this cluster builds, whatever it says."""
    description: Text | None = None
    """What the image is for."""


class Image(ApiType):
    """An image, and how its build goes."""

    id: str | None = None
    """Id of this version."""
    name: str | None = None
    """Name of the image."""
    version: int | None = None
    """Revision, given by the service."""
    description: str | None = None
    """What the image is for."""
    compute_resource_id: str | None = None
    """Id of the environment, as it was sent."""
    created_time: Moment | None = None
    """When it was created (UTC)."""
    creation_state: State | None = None
    """State of the build."""
    error: ErrorResponse | None = None
    """Why the build failed."""
    image_build_log_uri: str | None = None
    """Where the build's log is; it opens with the same token."""
    image_location: str | None = None
    """Where the image is in the registry, pinned by digest."""
    image_type: ImageType | None = None
    """Docker."""
    manifest: Manifest | None = None
    """What it is built from."""


class ServiceConfiguration(ApiType):
    """How a service runs."""

    rules = ServiceSpec.rules

    num_replicas: Annotated[int, Field(ge=0, le=10000), INTEGER] | None = None
    """Fixed number of replicas; not together with an enabled autoscaler."""
    auto_scaler: AutoScaler | None = None
    """How the number of replicas follows the load."""
    container_resource_reservation: ContainerResourceReservation | None = None
    """What each replica reserves."""
    max_concurrent_requests_per_container: Annotated[int, Field(ge=1, le=10000), INTEGER] | None = None
    """Requests that one replica scores at once."""
    app_insights_enabled: Boolean | None = None
    """Export a trace of each request to the installation's collector, if it has one."""
    data_collection: ModelDataCollection | None = None
    """Accepted; has no effect yet."""


class ServiceCreateRequest(ServiceConfiguration):
    """A request to create a service."""

    name: DisplayName
    """Name of the service."""
    image_id: Id
    """Id of the image to serve."""
    compute_resource: ComputeResource
    """Where it runs; this cluster serves, whatever it says."""


class ServiceUpdateRequest(ServiceConfiguration):
    """A request to update a service; what it does not name stays."""

    image_id: Id | None = None
    """Id of the image to serve."""


class ServiceResponse(ServiceConfiguration):
    """A service, and how it runs."""

    id: str | None = None
    """Id of the service."""
    name: str | None = None
    """Name of the service."""
    state: State | None = None
    """State of its newest operation."""
    error: ErrorResponse | None = None
    """Why that failed."""
    scoring_uri: str | None = None
    """Where to POST requests."""
    created_at: Moment | None = None
    """When it was created (UTC)."""
    updated_at: Moment | None = None
    """When it was last updated (UTC)."""
    image: Image | None = None
    """What it serves."""
    manifest: Manifest | None = None
    """What that is built from."""
    models: tuple[Model, ...] | None = None
    """The models of that."""
    compute_resource: ComputeResource
    """Where it runs."""


class KeyType(StrEnum):
    """Which key."""

    PRIMARY = "Primary"
    SECONDARY = "Secondary"


class ServiceRegenerateKeyRequest(ApiType):
    """A request to replace a key."""

    key_type: KeyType | None = None
    """Which key to replace; both without it."""


class AuthKeys(ApiType):
    """The keys of a service; each opens it."""

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
    """When it was created (UTC)."""
    expired_at: Moment | None = None
    """When the next one followed (UTC)."""
    status: str | None = None
    """State of the deployment."""


class OperationType(StrEnum):
    """What an operation makes."""

    IMAGE = "Image"
    SERVICE = "Service"


class AsyncOperationStatus(ApiType):
    """How an operation goes."""

    id: str | None = None
    """Id of the operation."""
    operation_type: OperationType | None = None
    """What it makes."""
    state: State | None = None
    """How it goes."""
    created_time: Moment | None = None
    """When it was asked for (UTC)."""
    end_time: Moment | None = None
    """When it ended (UTC)."""
    error: ErrorResponse | None = None
    """Why it failed."""
    resource_location: str | None = None
    """Where the image or the service is."""


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
