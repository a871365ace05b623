"""`azureml.core.model` of 2018 to 2020: Model.get_model_path()."""

import os
from pathlib import Path
from typing import Any

from modelyard.scoring.contract import Variable
from modelyard.scoring.working_directory import model_path, models_by_name


class ModelNotFoundException(Exception):
    """No model of the image has the name and version."""


class Model:
    """A model of the image."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        raise NotImplementedError(
            "azureml.core.model.Model(...) needs a workspace of Azure ML: use Model.get_model_path(), or the "
            "folder in AZUREML_MODEL_DIR"
        )

    @staticmethod
    def get_model_path(model_name: str, version: int | None = None, _workspace: object = None) -> str:
        """Return the path of a model's file or folder; of the newest version unless one is named.

        Raises ModelNotFoundException if the image has no such model.
        """
        folder = os.environ.get(Variable.MODEL_DIR)
        models = models_by_name(Path(folder)) if folder and Path(folder).is_dir() else {}
        versions = models.get(model_name, {})
        only = versions.get(0)
        if only is not None:
            return str(model_path(only, model_name))
        if versions and (version is None or version in versions):
            return str(model_path(versions[version or max(versions)], model_name))
        if version is None and Path(model_name).exists():
            return model_name
        found = ", ".join(models) or "no model"
        wanted = model_name if version is None else f"{model_name}, version {version},"
        raise ModelNotFoundException(
            f"the model {wanted} is not in this image, which has {found}: name it in modelIds of the Manifest"
        )
