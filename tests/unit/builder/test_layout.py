"""The content of images above the base image."""

from __future__ import annotations

from pathlib import Path

from modelyard.builder.environment.conda_file import CondaFile
from modelyard.builder.layout import ImageContent


def _content(**fields: object) -> ImageContent:
    values = {
        "models": (),
        "app": Path("app"),
        "entry_script": "driver.py",
        "model_dir": None,
        "requirements": None,
    }
    return ImageContent(**values | fields)


def test_variables_name_driver_models_and_spark() -> None:
    assert _content(model_dir="/models", spark=True).variables == {
        "AML_APP_ROOT": "/var/azureml-app",
        "AZUREML_ENTRY_SCRIPT": "driver.py",
        "MODELYARD_WORK_DIR": "/tmp/azureml-app",
        "AZUREML_MODEL_DIR": "/models",
        "MODELYARD_SPARK": "true",
    }


def test_variables_of_the_runtime_override_those_of_the_conda_file() -> None:
    conda = CondaFile(dependencies=(), channels=(), pip=(), variables={"AML_APP_ROOT": "/x", "A": "1"})
    variables = _content(conda=conda).variables
    assert (variables["AML_APP_ROOT"], variables["A"]) == ("/var/azureml-app", "1")
