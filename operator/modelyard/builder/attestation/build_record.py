"""The record of a finished build: its request, and the digest of every input."""

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
    """The kind of an input of a build."""

    BASE = "base image"
    RUNTIME = "scoring runtime"
    REQUIREMENTS = "requirements"
    CONDA_FILE = "conda environment"
    MODEL = "model"
    ASSET = "asset"


@dataclass(frozen=True)
class BuildInput:
    """An input of a build.

    `digest` is sha256:<64 hex> of its bytes. For an image or an OCI artifact, it is the digest of the
    manifest.
    """

    kind: InputKind
    name: str
    digest: str
    version: str | None = None
    uri: str | None = None
    """URL without credentials, None for an input that is part of the build request itself."""

    @property
    def label(self) -> str:
        """Return the name of the input, unique among all inputs: `model diabetes:3` for example."""
        return f"{self.kind} {self.name}" + (f":{self.version}" if self.version else "")


@dataclass(frozen=True)
class BuildRecord:
    """The content of attestations. A repeated build has an equal record."""

    request: BuildRequest
    builder: str
    """A BuilderKind."""
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
    """Return the record of a build.

    `digests` has sha256:<64 hex> of each fetched input. Its keys are the `subject` of each model and asset,
    and PIP_REQUIREMENTS and CONDA_ENV_FILE if they are URLs. Raises KeyError if a digest is missing.
    """
    inputs = [
        _base_input(request, base_digest),
        BuildInput(InputKind.RUNTIME, "modelyard", f"sha256:{runtime_version()}"),
    ]
    if request.pip_requirements:
        inputs.append(
            _requirements_input(InputKind.REQUIREMENTS, PIP_REQUIREMENTS, request.pip_requirements, digests)
        )
    if request.conda_env_file:
        inputs.append(
            _requirements_input(InputKind.CONDA_FILE, CONDA_ENV_FILE, request.conda_env_file, digests)
        )
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


def public_requirements(requirements: str) -> str:
    """Return requirements of pip or conda for publication: their URLs have no user and no query."""
    return redact_text(requirements)


def image_url(repository: str, digest: str) -> str:
    """Return the package URL of an image: https://github.com/package-url/purl-spec."""
    reference = parse_reference(repository)
    qualifiers = f"repository_url={reference.registry}/{reference.repository}"
    if reference.tag:
        qualifiers += f"&tag={reference.tag}"
    return package_url("oci", reference.repository.rpartition("/")[2], digest, qualifiers)


def _base_input(request: BuildRequest, digest: str) -> BuildInput:
    reference = parse_reference(request.base_image)
    name = f"{reference.registry}/{reference.repository}"
    return BuildInput(InputKind.BASE, name, digest, reference.tag, image_url(request.base_image, digest))


def _requirements_input(
    kind: InputKind, name: str, requirements: str, digests: Mapping[str, str]
) -> BuildInput:
    if url := requirements_url(requirements):
        return BuildInput(kind, name, digests[name], uri=_uri(Source(url=url)))
    # The digest of the original text would allow an attacker to guess a password in it offline.
    digest = hashlib.sha256(public_requirements(requirements).encode()).hexdigest()
    return BuildInput(kind, name, f"sha256:{digest}")


def _uri(source: Source) -> str | None:
    if source.url is None or scheme(source.url) == "data":
        return None
    return redact(source.url).partition("?")[0]
