"""Manifest: models, a driver and the runtime they need."""

from __future__ import annotations

import re
from collections.abc import Sequence
from enum import StrEnum
from typing import Annotated, Final

from pydantic import BeforeValidator, Field, StringConstraints

from modelyard.api.base import ApiType, without_nulls
from modelyard.api.names import DisplayName, ModelRef, file_name_rule
from modelyard.api.rules import Rule
from modelyard.api.sources import MAX_INLINE, Download, MimeType, Url

PYTHON_VERSION: Final = "pythonVersion"
PIP_REQUIREMENTS: Final = "pipRequirements"
CONDA_ENV_FILE: Final = "condaEnvFile"
BUILDER: Final = "builder"
PROPERTIES: Final = (PYTHON_VERSION, PIP_REQUIREMENTS, CONDA_ENV_FILE, BUILDER)
BUILDERS: Final = ("Layers", "Docker")
_PYTHON_VERSION: Final = re.compile(r"^3\.[0-9]{1,2}$")


class RuntimeType(StrEnum):
    """What the driver runs in."""

    SPARK_PYTHON = "SparkPython"
    PYTHON = "Python"


class ModelType(StrEnum):
    """How models are given."""

    REGISTERED = "Registered"


class WebserviceType(StrEnum):
    """How the service answers."""

    REALTIME = "Realtime"


class Asset(Download):
    """A file that the image needs: the driver, its modules, its data."""

    rules = (
        Rule(
            cel="has(self.url) != has(self.content)",
            message="an asset needs exactly one of url and content",
            holds=lambda asset: (asset.url is None) != (asset.content is None),
        ),
        Rule(
            cel="!has(self.content) || !has(self.secretRef)",
            message="secretRef goes with url, not with content",
            holds=lambda asset: asset.content is None or asset.secret_ref is None,
            field=".secretRef",
        ),
        Rule(
            cel="!has(self.content) || !has(self.unpack) || !self.unpack",
            message="unpack goes with url: content is text",
            holds=lambda asset: asset.content is None or not asset.unpack,
            field=".unpack",
        ),
    )

    id: Annotated[str, StringConstraints(min_length=1, max_length=255), file_name_rule("id")]
    """Id of the asset within the manifest; driverProgram names the driver by it."""
    mime_type: MimeType | None = None
    """Media type of the file, such as text/x-python."""
    url: Url | None = None
    """Where the file is: http(s), oci, s3, gs, abfs(s), pvc or data."""
    content: Annotated[str, Field(max_length=MAX_INLINE)] | None = None
    """The file itself, as text, instead of a url."""


class TargetRuntime(ApiType):
    """The runtime the driver runs in."""

    runtime_type: RuntimeType
    """Python; or SparkPython, whose driver finds a Spark session, as `spark`."""
    properties: Annotated[
        dict[str, Annotated[str, Field(max_length=65536)]],
        Field(max_length=len(PROPERTIES)),
        Rule(
            cel=f"self.all(key, key in [{', '.join(repr(name) for name in PROPERTIES)}])",
            message=f"targetRuntime.properties knows only {', '.join(PROPERTIES)}",
            holds=lambda properties: set(properties) <= set(PROPERTIES),
        ),
        Rule(
            cel=f"!('{PYTHON_VERSION}' in self)"
            f" || self['{PYTHON_VERSION}'].matches(r'{_PYTHON_VERSION.pattern}')",
            message=f'properties.{PYTHON_VERSION} must be a minor version in quotes, such as "3.11"',
            holds=lambda properties: bool(_PYTHON_VERSION.fullmatch(properties.get(PYTHON_VERSION, "3.11"))),
        ),
        Rule(
            cel=f"!('{BUILDER}' in self)"
            f" || self['{BUILDER}'] in [{', '.join(repr(name) for name in BUILDERS)}]",
            message=f"properties.{BUILDER} must be {' or '.join(BUILDERS)}",
            holds=lambda properties: properties.get(BUILDER, BUILDERS[0]) in BUILDERS,
        ),
        BeforeValidator(without_nulls),
    ]
    """pythonVersion: minor version such as "3.11". pipRequirements: the lines of a requirements.txt, or a URL
    of one. condaEnvFile: a conda environment file, or a URL of one; it brings its own Python. builder:
    Layers, or Docker for requirements to be compiled; by default what the installation has set."""


def _unique(items: Sequence[str]) -> bool:
    return len(set(items)) == len(items)


class ManifestSpec(ApiType):
    """How to serve models. A change of any field but description makes the next version."""

    rules = (
        Rule(
            cel="self.assets.exists(asset, asset.id == self.driverProgram)",
            message="driverProgram must be the id of one of the assets",
            holds=lambda spec: any(asset.id == spec.driver_program for asset in spec.assets),
            field=".driverProgram",
        ),
    )

    name: DisplayName | None = None
    """Display name; metadata.name by default."""
    assets: Annotated[
        tuple[Asset, ...],
        Field(min_length=1, max_length=100),
        Rule(
            cel="self.all(asset, self.exists_one(other, other.id == asset.id))",
            message="assets must have different ids",
            holds=lambda assets: _unique([asset.id for asset in assets]),
        ),
        Rule(
            cel="self.map(asset, (has(asset.url) ? size(asset.url) : 0)"
            f" + (has(asset.content) ? size(asset.content) : 0)).sum() <= {MAX_INLINE}",
            message=f"assets must not carry more than {MAX_INLINE} characters together: put large files "
            "where a url can fetch them",
            holds=lambda assets: (
                sum(len(asset.url or "") + len(asset.content or "") for asset in assets) <= MAX_INLINE
            ),
        ),
    ]
    """Files that the image needs; one of them is the driver."""
    driver_program: Annotated[str, Field(min_length=1, max_length=255)]
    """Id of the asset that is the driver: a Python file with init() and run()."""
    target_runtime: TargetRuntime
    """The runtime the driver runs in."""
    model_ids: Annotated[
        tuple[ModelRef, ...],
        Field(max_length=100),
        Rule(
            cel="self.all(id, self.exists_one(other, other == id))",
            message="modelIds must name each model once",
            holds=_unique,
        ),
    ] = ()
    """Models to put into the image: name follows the newest version, name:version stays at one."""
    model_type: ModelType = ModelType.REGISTERED
    """Models are registered ones."""
    webservice_type: WebserviceType = WebserviceType.REALTIME
    """The service answers each request at once."""
    description: Annotated[str, Field(max_length=4096)] | None = None
    """What the manifest is for, for people."""
