"""The environment of a worker process."""

import os

import pytest

from modelyard.scoring.pool.spawn import RUNTIME_FOLDERS, worker_environment
from modelyard.scoring.settings import RuntimeSettings

SETTINGS = RuntimeSettings.from_environment({"AZUREML_ENTRY_SCRIPT": "score.py", "AML_APP_ROOT": "/app"})
RUNTIME = str(RUNTIME_FOLDERS[0])


@pytest.mark.parametrize(
    ("front", "worker"),
    [
        (None, None),
        (RUNTIME, None),
        (f"{RUNTIME}{os.pathsep}/packages", "/packages"),
        (f"/one{os.pathsep}{RUNTIME}{os.pathsep}{os.pathsep}/two", f"/one{os.pathsep}/two"),
    ],
)
def test_worker_gets_pythonpath_without_the_runtimes_folder(front: str | None, worker: str | None) -> None:
    environment = {"PATH": "/bin"} | ({} if front is None else {"PYTHONPATH": front})

    assert worker_environment(SETTINGS, environment).get("PYTHONPATH") == worker


def test_worker_gets_the_drivers_place_and_all_other_variables() -> None:
    variables = worker_environment(SETTINGS, {"PATH": "/bin", "AZUREML_MODEL_DIR": "/models"})

    assert variables == {
        "PATH": "/bin",
        "AZUREML_MODEL_DIR": "/models",
        "AML_APP_ROOT": "/app",
        "AZUREML_ENTRY_SCRIPT": "score.py",
    }
