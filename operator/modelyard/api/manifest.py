"""The kind Manifest: models, a driver and the runtime that they need."""

from __future__ import annotations

import re
from collections.abc import Sequence
from enum import StrEnum
from typing import Annotated, Final

from pydantic import BeforeValidator, Field, StringConstraints

from modelyard.api.base import ApiType, without_nulls
from modelyard.api.names import DisplayName, ModelRef, file_name_rule
from modelyard.api.rules import Rule
from modelyard.api.sources import IDENTITY_RULES, MAX_INLINE, Download, MimeType, Url

PYTHON_VERSION: Final = "pythonVersion"
PIP_REQUIREMENTS: Final = "pipRequirements"
CONDA_ENV_FILE: Final = "condaEnvFile"
BUILDER: Final = "builder"
INSTALL_CUDA: Final = "installCuda"
"""The name of the Azure ML SDK, whose ContainerImage sends it for images with `enable_gpu`."""
PROPERTIES: Final = (PYTHON_VERSION, PIP_REQUIREMENTS, CONDA_ENV_FILE, BUILDER, INSTALL_CUDA)
BUILDERS: Final = ("Layers", "Docker")
_FLAGS: Final = ("true", "false")
_PYTHON_VERSION: Final = re.compile(r"^3\.[0-9]{1,2}$")


class RuntimeType(StrEnum):
    """Runtime of the driver."""

    SPARK_PYTHON = "SparkPython"
    PYTHON = "Python"


class ModelType(StrEnum):
    """Kind of reference to a model."""

    REGISTERED = "Registered"


class WebserviceType(StrEnum):
    """Kind of web service."""

    REALTIME = "Realtime"


class Asset(Download):
    """A file of the image: the driver, a Python module or data for the driver."""

    rules = (
        *IDENTITY_RULES,
        Rule(
            cel="has(self.url) != has(self.content)",
            message="an asset must have exactly one of url and content",
            is_valid=lambda asset: (asset.url is None) != (asset.content is None),
        ),
        Rule(
            cel="!has(self.content) || !has(self.secretRef)",
            message="secretRef is only allowed together with url, not with content",
            is_valid=lambda asset: asset.content is None or asset.secret_ref is None,
            field=".secretRef",
        ),
        Rule(
            cel="!has(self.content) || !has(self.unpack) || !self.unpack",
            message="unpack is only allowed together with url: content is plain text",
            is_valid=lambda asset: asset.content is None or not asset.unpack,
            field=".unpack",
        ),
    )

    id: Annotated[str, StringConstraints(min_length=1, max_length=255), file_name_rule("id")]
    """Id of the asset in this Manifest, and the name of its file in the image. driverProgram refers to this
    id."""
    mime_type: MimeType | None = None
    """Media type of the file, such as text/x-python."""
    url: Url | None = None
    """URL of the file. Schemes: http, https, oci, s3, gs, abfs, abfss, pvc and data."""
    content: Annotated[str, Field(max_length=MAX_INLINE)] | None = None
    """Text of the file, instead of a url."""


class TargetRuntime(ApiType):
    """The runtime of the driver."""

    runtime_type: RuntimeType
    """Type of the runtime. Python; or SparkPython, which gives the driver a Spark session named `spark`."""
    properties: Annotated[
        dict[str, Annotated[str, Field(max_length=65536)]],
        Field(max_length=len(PROPERTIES)),
        Rule(
            cel=f"self.all(key, key in [{', '.join(repr(name) for name in PROPERTIES)}])",
            message=f"targetRuntime.properties allows only the keys {', '.join(PROPERTIES)}",
            is_valid=lambda properties: set(properties) <= set(PROPERTIES),
        ),
        Rule(
            cel=f"!('{PYTHON_VERSION}' in self)"
            f" || self['{PYTHON_VERSION}'].matches(r'{_PYTHON_VERSION.pattern}')",
            message=f'properties.{PYTHON_VERSION} must be a minor version in quotes, such as "3.11"',
            is_valid=lambda properties: bool(
                _PYTHON_VERSION.fullmatch(properties.get(PYTHON_VERSION, "3.11"))
            ),
        ),
        Rule(
            cel=f"!('{BUILDER}' in self)"
            f" || self['{BUILDER}'] in [{', '.join(repr(name) for name in BUILDERS)}]",
            message=f"properties.{BUILDER} must be {' or '.join(BUILDERS)}",
            is_valid=lambda properties: properties.get(BUILDER, BUILDERS[0]) in BUILDERS,
        ),
        Rule(
            cel=f"!('{INSTALL_CUDA}' in self)"
            f" || self['{INSTALL_CUDA}'] in [{', '.join(repr(name) for name in _FLAGS)}]",
            message=f'properties.{INSTALL_CUDA} must be "true" or "false" in quotes',
            is_valid=lambda properties: properties.get(INSTALL_CUDA, _FLAGS[0]) in _FLAGS,
        ),
        BeforeValidator(without_nulls),
    ]
    """Properties of the runtime. `pythonVersion` is a minor version of Python, such as "3.11".
    `pipRequirements` is the text or URL of a requirements.txt. `condaEnvFile` is the text or URL of a conda
    environment file, which also determines the version of Python. `builder` is Layers, or Docker for
    requirements that must be compiled; its default is the chart's build.builder. `installCuda` is "true"
    for a base image with CUDA, one of build.cudaImages of the chart."""


def _unique(items: Sequence[str]) -> bool:
    return len(set(items)) == len(items)


class ManifestSpec(ApiType):
    """How to serve models. A change of any field except description makes the next version."""

    rules = (
        Rule(
            cel="self.assets.exists(asset, asset.id == self.driverProgram)",
            message="driverProgram must be the id of one of the assets in spec.assets",
            is_valid=lambda spec: any(asset.id == spec.driver_program for asset in spec.assets),
            field=".driverProgram",
        ),
    )

    name: DisplayName | None = None
    """Display name. Default: metadata.name."""
    assets: Annotated[
        tuple[Asset, ...],
        Field(min_length=1, max_length=100),
        Rule(
            cel="self.all(asset, self.exists_one(other, other.id == asset.id))",
            message="assets must have different ids: two assets have the same id",
            is_valid=lambda assets: _unique([asset.id for asset in assets]),
        ),
        Rule(
            cel="self.map(asset, (has(asset.url) ? size(asset.url) : 0)"
            f" + (has(asset.content) ? size(asset.content) : 0)).sum() <= {MAX_INLINE}",
            message=f"assets must not have more than {MAX_INLINE} characters of url and content in total: "
            "store large files elsewhere and set url",
            is_valid=lambda assets: (
                sum(len(asset.url or "") + len(asset.content or "") for asset in assets) <= MAX_INLINE
            ),
        ),
    ]
    """Files of the image. One of the files is the driver."""
    driver_program: Annotated[str, Field(min_length=1, max_length=255)]
    """Id of the asset that is the driver: a Python file with the functions init() and run()."""
    target_runtime: TargetRuntime
    """The runtime of the driver."""
    model_ids: Annotated[
        tuple[ModelRef, ...],
        Field(max_length=100),
        Rule(
            cel="self.all(id, self.exists_one(other, other == id))",
            message="modelIds must name each model once: remove the duplicate",
            is_valid=_unique,
        ),
    ] = ()
    """Models to put into the image: `name` follows the newest version, `name:version` pins one version."""
    model_type: ModelType = ModelType.REGISTERED
    """Kind of models. The only value is Registered: models are objects of kind Model."""
    webservice_type: WebserviceType = WebserviceType.REALTIME
    """Kind of web service. The only value is Realtime: each request gets its prediction in the response."""
    description: Annotated[str, Field(max_length=4096)] | None = None
    """Purpose of the Manifest, for human readers. A change makes no new version."""
