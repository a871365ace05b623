"""The four kinds: the only table that says what each is called and made of."""

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
    """What the API server checks by itself, for objects that have not passed it yet."""
    if not is_object_name(name):
        raise PydanticCustomError(
            "name",
            "metadata.name must be a lowercase RFC 1123 subdomain: a-z, 0-9, - and ., with a letter or digit "
            "at both ends; spec.name takes other names",
        )
    return name


class ObjectMeta(BaseModel):
    """The part of metadata that rules speak of."""

    model_config = ConfigDict(frozen=True, extra="ignore")
    name: Annotated[str, AfterValidator(_object_name)]


class Resource(ApiType, Generic[SpecT]):
    """An object as a user applies it."""

    metadata: ObjectMeta
    spec: SpecT


class ModelResource(Resource[ModelSpec]):
    """A Model."""

    rules = (NAME_RULE,)


class ManifestResource(Resource[ManifestSpec]):
    """A Manifest."""

    rules = (NAME_RULE,)


class ImageResource(Resource[ImageSpec]):
    """An Image."""

    rules = (NAME_RULE,)


class ServiceResource(Resource[ServiceSpec]):
    """A Service."""

    rules = (NAME_RULE, SERVICE_NAME_RULE)


@dataclass(frozen=True)
class PrinterColumn:
    """A column of `kubectl get`; priority 1 is shown with -o wide."""

    name: str
    path: str
    type: str = "string"
    priority: int = 0


@dataclass(frozen=True)
class Kind:
    """A kind, its names and its types."""

    name: str
    plural: str
    short_name: str
    resource: type[Resource[Any]]
    spec: type[ApiType]
    status: type[Status]
    summary: str
    columns: tuple[PrinterColumn, ...] = ()

    @property
    def singular(self) -> str:
        """The kind in lower case, as it stands in names."""
        return self.name.lower()


MODEL: Final = Kind(
    "Model", "models", "mdl", ModelResource, ModelSpec, ModelStatus,
    "A registered model: a file and where it is.",
    (PrinterColumn("URL", ".spec.url", priority=1),),
)  # fmt: skip
MANIFEST: Final = Kind(
    "Manifest", "manifests", "mft", ManifestResource, ManifestSpec, ManifestStatus,
    "Models, a driver and the runtime they need.",
    (PrinterColumn("Models", ".status.modelIds", priority=1),),
)  # fmt: skip
IMAGE: Final = Kind(
    "Image", "images", "img", ImageResource, ImageSpec, ImageStatus,
    "A manifest built into a Docker image, pinned by digest.",
    (
        PrinterColumn("Progress", ".status.progress", priority=1),
        PrinterColumn("Location", ".status.imageLocation", priority=1),
    ),
)  # fmt: skip
SERVICE: Final = Kind(
    "Service", "services", "msvc", ServiceResource, ServiceSpec, ServiceStatus,
    "A scoring endpoint: an image with its scale and its keys.",
    (
        PrinterColumn("Available", '.status.conditions[?(@.type=="Available")].status'),
        PrinterColumn("Replicas", ".status.readyReplicas", "integer"),
        PrinterColumn("Image", ".status.imageId"),
        PrinterColumn("URI", ".status.scoringUri", priority=1),
    ),
)  # fmt: skip
KINDS: Final = (MODEL, MANIFEST, IMAGE, SERVICE)
KINDS_BY_NAME: Final = {kind.name: kind for kind in KINDS}
