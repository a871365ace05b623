"""The content of an image above its base image, and the folder of each model in the image."""

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
from modelyard.scoring.contract import WORK_DIR, Variable


@dataclass(frozen=True)
class PlacedModel:
    """The files of a model on the disk, and the path of their folder in the image."""

    files: Path
    path: str


@dataclass(frozen=True)
class ImageContent:
    """Fetched and unpacked content for the layers above the base image."""

    models: tuple[PlacedModel, ...]
    app: Path
    """Folder on the disk with the files of all assets."""
    entry_script: str
    """File name of the driver in `app`."""
    model_dir: str | None
    """Value of AZUREML_MODEL_DIR, None without models."""
    requirements: str | None
    """Lines for pip: pipRequirements, and the pip section of the conda environment file."""
    conda: CondaFile | None = None
    spark: bool = False
    """True if the runtime starts a Spark session for the driver."""
    digests: Mapping[str, str] = field(default_factory=dict)
    """Subject of each download to the digest (sha256:…) of its bytes before they were unpacked."""

    @property
    def variables(self) -> dict[str, str]:
        """Return the environment variables of the image."""
        variables: dict[str, str] = {}
        if self.conda:
            variables["CONDA_PREFIX"] = ENVIRONMENT
            variables.update(self.conda.variables)
        variables[Variable.APP_ROOT] = APP_ROOT  # from here on, names of the contract override the file's
        variables[Variable.ENTRY_SCRIPT] = self.entry_script
        variables[Variable.WORK_DIR] = WORK_DIR
        if self.model_dir:
            variables[Variable.MODEL_DIR] = self.model_dir
        if self.spark:
            variables[Variable.SPARK] = "true"
        return variables


def model_paths(request: BuildRequest) -> dict[str, str]:
    """Return the path in the image of each model's folder, by the model's subject.

    The folder is `name` for one model, and `name/version` for several. Raises AssetConflictError if two
    models have the same folder.
    """
    paths: dict[str, str] = {}
    for model in request.models:
        path = _model_path(model, request)
        if path in paths.values():
            raise AssetConflictError(
                f"two models are named {model.name!r}, version {model.version}: rename one of them"
            )
        paths[model.subject] = path
    return paths


def _model_path(model: ModelInput, request: BuildRequest) -> str:
    name = f"{MODELS_ROOT}/{clean_file_name(model.name) or 'model'}"
    return name if len(request.models) == 1 else f"{name}/{model.version}"


def model_dir(request: BuildRequest) -> str | None:
    """Return the path for AZUREML_MODEL_DIR: of the one model, or of all models; None without models."""
    if len(request.models) == 1:
        return _model_path(request.models[0], request)
    return MODELS_ROOT if request.models else None


def driver_asset(request: BuildRequest) -> AssetInput:
    """Return the asset with the driver program.

    Raises RequestInvalidError unless exactly one asset has the id of the driver and is a file.
    """
    found = [asset for asset in request.assets if asset.id == request.driver]
    if len(found) != 1:
        raise RequestInvalidError(
            f"{len(found)} assets have the id {request.driver!r} of driverProgram: exactly one must have it"
        )
    if found[0].source.unpack:
        raise RequestInvalidError(
            f"the asset {request.driver!r} of driverProgram has unpack set: give a Python file without unpack"
        )
    return found[0]


def asset_file_name(asset: AssetInput, name: str) -> str:
    """Return the file name of an asset that is not the driver: with .py for a module without a suffix."""
    return f"{name}.py" if asset.is_module and "." not in name else name


def driver_file_name(name: str) -> str:
    """Return the file name with the suffix .py, which Python needs to import the driver."""
    return name if name.endswith(".py") else f"{name}.py"
