"""The table of the four kinds: names, types, printer columns and descriptions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, Final, Generic, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict
from pydantic_core import PydanticCustomError

from modelyard.api.base import ApiType
from modelyard.api.image import ImageSpec
from modelyard.api.manifest import ManifestSpec
from modelyard.api.model import ModelSpec
from modelyard.api.names import NAME_RULE, SERVICE_NAME_RULE, is_object_name
from modelyard.api.service import ServiceSpec
from modelyard.api.status import ImageStatus, ManifestStatus, ModelStatus, ServiceStatus, Status

SpecT = TypeVar("SpecT", bound=ApiType)


def _object_name(name: str) -> str:
    """Return a valid metadata.name; raises PydanticCustomError for any other text.

    The API server has the same check. It is repeated here for objects that were never sent to an API server.
    """
    if not is_object_name(name):
        raise PydanticCustomError(
            "name",
            "metadata.name must be a lowercase RFC 1123 subdomain: a-z, 0-9, - and ., with a letter or digit "
            "at both ends; put any other name into spec.name",
        )
    return name


class ObjectMeta(BaseModel):
    """The part of metadata that validation rules read."""

    model_config = ConfigDict(frozen=True, extra="ignore")
    name: Annotated[str, AfterValidator(_object_name)]


class Resource(ApiType, Generic[SpecT]):
    """An object as a user applies it: metadata and spec."""

    metadata: ObjectMeta
    spec: SpecT


class ModelResource(Resource[ModelSpec]):
    """A Model as a user applies it."""

    rules = (NAME_RULE,)


class ManifestResource(Resource[ManifestSpec]):
    """A Manifest as a user applies it."""

    rules = (NAME_RULE,)


class ImageResource(Resource[ImageSpec]):
    """An Image as a user applies it."""

    rules = (NAME_RULE,)


class ServiceResource(Resource[ServiceSpec]):
    """A Service as a user applies it."""

    rules = (NAME_RULE, SERVICE_NAME_RULE)


@dataclass(frozen=True)
class PrinterColumn:
    """A column of `kubectl get`. Columns with priority 1 appear only with `-o wide`."""

    name: str
    path: str
    type: str = "string"
    priority: int = 0


@dataclass(frozen=True)
class ScalePaths:
    """Fields of the scale subresource, for `kubectl scale`, `kubectl autoscale` and autoscalers.

    https://kubernetes.io/docs/tasks/extend-kubernetes/custom-resources/custom-resource-definitions/#scale-subresource
    """

    spec_replicas: str
    status_replicas: str
    label_selector: str


@dataclass(frozen=True)
class Kind:
    """A kind of the API with its names, types and printer columns."""

    name: str
    plural: str
    short_name: str
    resource: type[Resource[Any]]
    spec: type[ApiType]
    status: type[Status]
    description: str
    columns: tuple[PrinterColumn, ...] = ()
    scale: ScalePaths | None = None

    @property
    def singular(self) -> str:
        """The kind in lower case, as used in labels and in names of ControllerRevisions."""
        return self.name.lower()


MODEL: Final = Kind(
    "Model", "models", "mdl", ModelResource, ModelSpec, ModelStatus,
    "A registered model: a file at a URL. Each change of the content registers the next version.",
    (PrinterColumn("URL", ".spec.url", priority=1),),
)  # fmt: skip
MANIFEST: Final = Kind(
    "Manifest", "manifests", "mft", ManifestResource, ManifestSpec, ManifestStatus,
    "Models, a driver and the runtime that they need.",
    (PrinterColumn("Models", ".status.modelIds", priority=1),),
)  # fmt: skip
IMAGE: Final = Kind(
    "Image", "images", "img", ImageResource, ImageSpec, ImageStatus,
    "A Manifest built into a Docker image, pinned by digest.",
    (
        PrinterColumn("Progress", ".status.progress", priority=1),
        PrinterColumn("Platforms", ".status.platforms", priority=1),
        PrinterColumn("Location", ".status.imageLocation", priority=1),
    ),
)  # fmt: skip
SERVICE: Final = Kind(
    "Service", "services", "msvc", ServiceResource, ServiceSpec, ServiceStatus,
    "A scoring endpoint: an Image that runs with a number of replicas and two access keys.",
    (
        PrinterColumn("Available", '.status.conditions[?(@.type=="Available")].status'),
        PrinterColumn("Replicas", ".status.readyReplicas", "integer"),
        PrinterColumn("Desired", ".status.replicas", "integer"),
        PrinterColumn("Load", ".status.utilization", "integer"),
        PrinterColumn("Image", ".status.imageId"),
        PrinterColumn("Models", ".status.modelIds", priority=1),
        PrinterColumn("URL", ".status.url", priority=1),
        PrinterColumn("URI", ".status.scoringUri", priority=1),
    ),
    ScalePaths(".spec.numReplicas", ".status.replicas", ".status.selector"),
)  # fmt: skip
KINDS: Final = (MODEL, MANIFEST, IMAGE, SERVICE)
KINDS_BY_NAME: Final = {kind.name: kind for kind in KINDS}
