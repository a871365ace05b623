"""What goes onto a base image, and the folder of the image that each model gets."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from modelyard.builder.environment.conda_file import CondaFile
from modelyard.contract.build_request import (
    AssetInput,
    BuildRequest,
    ModelInput,
)
from modelyard.contract.errors import (
    AssetConflictError,
    RequestInvalidError,
)
from modelyard.contract.image_layout import APP_ROOT, ENVIRONMENT, MODELS_ROOT
from modelyard.contract.urls import clean_file_name
from modelyard.scoring.contract import Variable


@dataclass(frozen=True)
class PlacedModel:
    """A folder on the disk, and the folder of the image that it becomes."""

    files: Path
    path: str


@dataclass(frozen=True)
class ImageContent:
    """All that goes onto the base image, fetched and unpacked."""

    models: tuple[PlacedModel, ...]
    app: Path
    entry_script: str
    model_dir: str | None
    requirements: str | None
    """Lines for pip, also those of a conda environment."""
    conda: CondaFile | None = None
    spark: bool = False
    """The driver gets a Spark session."""
    digests: Mapping[str, str] = field(default_factory=dict)
    """sha256:… of all that was fetched, by its subject, as it was before it was unpacked."""

    @property
    def variables(self) -> dict[str, str]:
        """The environment in which the driver is found, and finds its models."""
        model_dir = {Variable.MODEL_DIR: self.model_dir} if self.model_dir else {}
        conda = {"CONDA_PREFIX": ENVIRONMENT, **self.conda.variables} if self.conda else {}
        spark = {Variable.SPARK: "true"} if self.spark else {}
        driver = {Variable.APP_ROOT: APP_ROOT, Variable.ENTRY_SCRIPT: self.entry_script}
        return conda | driver | model_dir | spark


def model_paths(request: BuildRequest) -> dict[str, str]:
    """The folder of each model by its subject: `name`, or `name/version` when there are several.

    Raises AssetConflictError when two models would have one.
    """
    paths: dict[str, str] = {}
    for model in request.models:
        path = _model_path(model, request)
        if path in paths.values():
            raise AssetConflictError(f"two models are named {model.name!r}, version {model.version}")
        paths[model.subject] = path
    return paths


def _model_path(model: ModelInput, request: BuildRequest) -> str:
    name = f"{MODELS_ROOT}/{clean_file_name(model.name) or 'model'}"
    return name if len(request.models) == 1 else f"{name}/{model.version}"


def model_dir(request: BuildRequest) -> str | None:
    """AZUREML_MODEL_DIR: the folder of the one model, or the root of several; None without any."""
    if len(request.models) == 1:
        return _model_path(request.models[0], request)
    return MODELS_ROOT if request.models else None


def driver_of(request: BuildRequest) -> AssetInput:
    """The asset that is the driver; raises RequestInvalidError unless it is exactly one, and one file."""
    found = [asset for asset in request.assets if asset.id == request.driver]
    if len(found) != 1:
        raise RequestInvalidError(
            f"{len(found)} assets have the id {request.driver!r} of driverProgram: exactly one must have it"
        )
    if found[0].source.unpack:
        raise RequestInvalidError(
            f"the driver {request.driver!r} is to be unpacked: it must be a Python file"
        )
    return found[0]


def driver_file(name: str) -> str:
    """The driver's file name; it must be importable."""
    return name if name.endswith(".py") else f"{name}.py"
