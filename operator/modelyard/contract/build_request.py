"""What a build is asked and what it answers: the contract between the operator and a build Job.

The operator writes a `BuildRequest` as JSON into a Secret that the Job mounts; the Job answers with a
`BuildResult` as its termination message (at most 4096 bytes, the kubelet's limit:
https://kubernetes.io/docs/tasks/debug/debug-application/determine-reason-pod-failure/).
"""

from __future__ import annotations

from enum import StrEnum
from typing import Final

from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

TERMINATION_MESSAGE_BYTES: Final = 4096
PIP_REQUIREMENTS: Final = "pipRequirements"  # what messages call them
CONDA_ENV_FILE: Final = "condaEnvFile"


class _Message(BaseModel):
    model_config = ConfigDict(frozen=True, alias_generator=to_camel, populate_by_name=True, extra="forbid")


class Step(StrEnum):
    """The steps of a build, in their order; a failure names the one that failed."""

    FETCH = "Fetch"
    UNPACK = "Unpack"
    BUILD = "Build"
    PUSH = "Push"


class BuilderKind(StrEnum):
    """Who makes the image."""

    LAYERS = "Layers"
    """The Job itself: assembles layers and pushes them, needs no daemon and no rights."""
    DOCKER = "Docker"
    """A Docker engine, for what has to run commands in the image."""


class Source(_Message):
    """Where the bytes of a model or an asset come from: exactly one of `url` and `content`."""

    url: str | None = None
    content: str | None = None
    digest: str | None = None  # sha256:<64 hex> that the bytes must have
    unpack: bool = False  # zip, tar, tar.gz, tar.bz2, tar.xz
    credentials: dict[str, str] = Field(default_factory=dict, repr=False)  # of the Secret named by secretRef


class ModelInput(_Message):
    name: str  # display name, a folder name
    version: int
    source: Source

    @property
    def subject(self) -> str:
        """What messages call it."""
        return f"model {self.name}:{self.version}"


class AssetInput(_Message):
    id: str
    mime_type: str | None = None
    source: Source

    @property
    def subject(self) -> str:
        """What messages call it."""
        return f"asset {self.id}"


class Limits(_Message):
    """Bounds on what a build may bring in; bytes and counts."""

    download_bytes: int = 20 * 1024**3
    unpacked_bytes: int = 50 * 1024**3
    unpacked_files: int = 200_000


class BuildRequest(_Message):
    repository: str  # registry/path, no tag, with the registry's name as a Docker engine sees it
    tag: str  # the hash of all inputs
    base_image: str
    base_python: str = "3.11"  # the minor version of the Python in it
    builder: BuilderKind = BuilderKind.LAYERS
    driver: str  # id of the asset that is the driver
    models: tuple[ModelInput, ...] = ()
    assets: tuple[AssetInput, ...]
    pip_requirements: str | None = None  # the requirements themselves, or a URL of them
    conda_env_file: str | None = None  # a conda environment file itself, or a URL of one
    spark: bool = False  # the driver gets a Spark session, of the base image's pyspark
    python_version: str | None = None  # of the conda environment, such as 3.12; the file says it otherwise
    registrations: dict[str, str] = Field(default_factory=dict)  # the same content, registered again
    labels: dict[str, str] = Field(default_factory=dict)
    limits: Limits = Limits()


class ErrorDetail(_Message):
    code: str
    message: str


class BuildError(_Message):
    """Why a build failed, for status.error: `message` says what to do; the last log lines are details."""

    code: str
    message: str
    step: Step
    transient: bool = False  # the same request may succeed later: the registry was down, say
    details: tuple[ErrorDetail, ...] = ()


class BuildResult(_Message):
    """Exactly one of `digest` (of the pushed manifest) and `error` is set."""

    digest: str | None = None
    error: BuildError | None = None
