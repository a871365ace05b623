"""The request and the result of a build.

The operator writes a `BuildRequest` as JSON into a Secret that the Job mounts. The Job writes a `BuildResult`
as its termination message. The kubelet limits the message to 4096 bytes:
https://kubernetes.io/docs/tasks/debug/debug-application/determine-reason-pod-failure/.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Final

from pydantic import BaseModel, ConfigDict, Field, field_validator
from pydantic.alias_generators import to_camel

from modelyard.contract.cloud_identity import CloudIdentity
from modelyard.contract.urls import file_name, scheme

TERMINATION_MESSAGE_BYTES: Final = 4096
# API fields, as error messages name them.
PIP_REQUIREMENTS: Final = "pipRequirements"
CONDA_ENV_FILE: Final = "condaEnvFile"
_PYTHON_TYPES: Final = frozenset(
    {"text/x-python", "text/x-script.python", "application/x-python", "text/python"}
)


class _Message(BaseModel):
    model_config = ConfigDict(frozen=True, alias_generator=to_camel, populate_by_name=True, extra="forbid")


class Step(StrEnum):
    """Steps of a build in their order, as in the log and in errors."""

    FETCH = "Fetch"
    UNPACK = "Unpack"
    BUILD = "Build"
    PUSH = "Push"


class BuilderKind(StrEnum):
    """Programs that can make an image."""

    LAYERS = "Layers"
    """The Job assembles and pushes layers. It needs neither a daemon nor privileges."""
    DOCKER = "Docker"
    """A Docker engine runs commands in the image, for example to compile packages."""


class Source(_Message):
    """The origin of the bytes of a model or an asset: exactly one of `url` and `content`."""

    url: str | None = None
    content: str | None = None
    digest: str | None = None  # expected digest of the bytes: sha256:<64 hex>
    unpack: bool = False  # the bytes are a zip, tar, tar.gz, tar.bz2 or tar.xz
    credentials: dict[str, str] = Field(default_factory=dict, repr=False)  # data of the Secret in secretRef
    identity: CloudIdentity | None = None  # of serviceAccountName, in place of credentials

    @field_validator("url")
    @classmethod
    def _without_line_break(cls, url: str | None) -> str | None:
        """Remove white space at the end, which a block scalar of YAML (`url: |`) adds. Data is unchanged."""
        return url if url is None or scheme(url) == "data" else url.rstrip()


class ModelInput(_Message):
    """One version of a Model for the image."""

    name: str  # display name, and the name of the model's folder
    version: int
    source: Source

    @property
    def subject(self) -> str:
        """Return the name of the model in errors and in the log."""
        return f"model {self.name}:{self.version}"


class AssetInput(_Message):
    """One asset of the Manifest: a file for the app folder of the image."""

    id: str
    mime_type: str | None = None
    source: Source

    @property
    def subject(self) -> str:
        """Return the name of the asset in errors and in the log."""
        return f"asset {self.id}"

    @property
    def is_module(self) -> bool:
        """Return True for a file whose media type is that of Python's modules."""
        media_type = (self.mime_type or "").partition(";")[0].strip().lower()
        return media_type in _PYTHON_TYPES and not self.source.unpack

    @property
    def needs_suffix(self) -> bool:
        """Return True for a module whose name has no suffix, so that no driver could import it."""
        return self.is_module and "." not in (file_name(self.source.url) or self.id)


class Limits(_Message):
    """Upper bounds for the downloads and archives of one build, in bytes and files."""

    download_bytes: int = 20 * 1024**3
    unpacked_bytes: int = 50 * 1024**3
    unpacked_files: int = 200_000


class BuildRequest(_Message):
    """All inputs of one image, and the reference to push it to."""

    repository: str  # registry/path without a tag; the registry has the name that a Docker engine uses
    tag: str  # the hash of all inputs, see modelyard.reconcile.builds.input_hash
    base_image: str
    base_python: str = "3.11"  # major.minor version of the Python in the base image
    builder: BuilderKind = BuilderKind.LAYERS
    platforms: tuple[str, ...] = ()  # such as linux/arm64; empty: that of the node and the base image
    driver: str  # id of the asset with the driver program
    models: tuple[ModelInput, ...] = ()
    assets: tuple[AssetInput, ...]
    pip_requirements: str | None = None  # the text of the requirements, or its URL
    conda_env_file: str | None = None  # the text of a conda environment file, or its URL
    spark: bool = False  # the driver gets a Spark session of the pyspark in the base image
    python_version: str | None = None  # for the conda environment, e.g. 3.12; None if the file pins it
    cuda_version: str | None = None  # of the nodes with GPUs, for packages of conda with CUDA, e.g. 12.4
    registrations: dict[str, str] = Field(
        default_factory=dict
    )  # a new value forces a new image of the same content
    labels: dict[str, str] = Field(default_factory=dict)
    limits: Limits = Limits()


class BuildErrorDetail(_Message):
    """One line of the log, for `status.error.details`."""

    code: str
    message: str


class BuildError(_Message):
    """The failure of a build, for `status.error`. The message tells users what to change."""

    code: str
    message: str
    step: Step
    transient: bool = False  # the same request may succeed later, e.g. once the registry is up again
    details: tuple[BuildErrorDetail, ...] = ()


class BuildResult(_Message):
    """The result of a build: exactly one of `digest`, of the pushed manifest, and `error`."""

    digest: str | None = None
    error: BuildError | None = None
