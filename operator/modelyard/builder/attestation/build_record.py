"""What is known of a finished build: the image, and the digest of every input."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from modelyard.builder.environment.packages import (
    Package,
    package_url,
)
from modelyard.contract.build_request import (
    CONDA_ENV_FILE,
    PIP_REQUIREMENTS,
    BuildRequest,
    Source,
)
from modelyard.contract.scoring_runtime import runtime_version
from modelyard.contract.urls import (
    requirements_url,
    scheme,
)
from modelyard.oci.reference import parse_reference
from modelyard.redaction import (
    redact,
    redact_text,
)

Json = dict[str, Any]


class InputKind(StrEnum):
    """What an input is."""

    BASE = "base image"
    RUNTIME = "scoring runtime"
    REQUIREMENTS = "requirements"
    CONDA_FILE = "conda environment"
    MODEL = "model"
    ASSET = "asset"


@dataclass(frozen=True)
class BuildInput:
    """An input; `digest` is sha256:<64 hex> of its bytes, of its manifest for an image or an artifact."""

    kind: InputKind
    name: str
    digest: str
    version: str | None = None
    uri: str | None = None  # without credentials; None for what is written into the request

    @property
    def label(self) -> str:
        """What it is called among all inputs."""
        return f"{self.kind} {self.name}" + (f":{self.version}" if self.version else "")


@dataclass(frozen=True)
class BuildRecord:
    """Everything that is told of a build; none of it changes when the build is repeated."""

    request: BuildRequest
    builder: str  # layers, docker
    inputs: tuple[BuildInput, ...]
    packages: tuple[Package, ...]


def build_record(
    request: BuildRequest,
    *,
    builder: str,
    base_digest: str,
    digests: Mapping[str, str],
    packages: tuple[Package, ...],
) -> BuildRecord:
    """The record of a build.

    `digests` has sha256:<64 hex> of what was fetched, by the `subject` of each model and asset and by
    PIP_REQUIREMENTS and CONDA_ENV_FILE where those are a URL; KeyError where one is missing.
    """
    inputs = [
        _base(request, base_digest),
        BuildInput(InputKind.RUNTIME, "modelyard", f"sha256:{runtime_version()}"),
    ]
    if request.pip_requirements:
        inputs.append(_asked(InputKind.REQUIREMENTS, PIP_REQUIREMENTS, request.pip_requirements, digests))
    if request.conda_env_file:
        inputs.append(_asked(InputKind.CONDA_FILE, CONDA_ENV_FILE, request.conda_env_file, digests))
    inputs += [
        BuildInput(
            InputKind.MODEL, model.name, digests[model.subject], str(model.version), _uri(model.source)
        )
        for model in request.models
    ]
    inputs += [
        BuildInput(InputKind.ASSET, asset.id, digests[asset.subject], uri=_uri(asset.source))
        for asset in request.assets
    ]
    ordered = tuple(sorted(set(packages), key=lambda package: package.purl))
    return BuildRecord(request, builder, tuple(inputs), ordered)


def shown_requirements(requirements: str) -> str:
    """Requirements of pip or of conda as anybody may read them: their URLs have no user and no query."""
    return redact_text(requirements)


def image_url(repository: str, digest: str) -> str:
    """The package URL of an image in a registry."""
    reference = parse_reference(repository)
    qualifiers = f"repository_url={reference.registry}/{reference.repository}"
    if reference.tag:
        qualifiers += f"&tag={reference.tag}"
    return package_url("oci", reference.repository.rpartition("/")[2], digest, qualifiers)


def _base(request: BuildRequest, digest: str) -> BuildInput:
    reference = parse_reference(request.base_image)
    name = f"{reference.registry}/{reference.repository}"
    return BuildInput(InputKind.BASE, name, digest, reference.tag, image_url(request.base_image, digest))


def _asked(kind: InputKind, name: str, requirements: str, digests: Mapping[str, str]) -> BuildInput:
    if url := requirements_url(requirements):
        return BuildInput(kind, name, digests[name], uri=_uri(Source(url=url)))
    # Of the text that is shown: a digest of the other one would let its password be guessed at leisure.
    shown = hashlib.sha256(shown_requirements(requirements).encode()).hexdigest()
    return BuildInput(kind, name, f"sha256:{shown}")


def _uri(source: Source) -> str | None:
    if source.url is None or scheme(source.url) == "data":
        return None
    return redact(source.url).partition("?")[0]
