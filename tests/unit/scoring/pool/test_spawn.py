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
        "AML_APP_INSIGHTS_ENABLED": "false",
        "WORKER_COUNT": "1",
        "SERVER_PORT": "5001",
        "HEALTH_PORT": "5001",
    }


@pytest.mark.parametrize(
    ("variables", "enabled"),
    [
        ({"AML_APP_INSIGHTS_ENABLED": "true"}, "true"),
        ({"AML_APP_INSIGHTS_ENABLED": "nonsense"}, "false"),
        (
            {
                "AML_APP_INSIGHTS_ENABLED": "true",
                "AML_APP_INSIGHTS_KEY": "0f8fad5b-d9cb-469f-a165-70867728950e",
            },
            "true",
        ),
        ({"AML_APP_INSIGHTS_ENABLED": "true", "AML_APP_INSIGHTS_KEY": "no key"}, "false"),
    ],
)
def test_driver_reads_whether_application_insights_is_on(variables: dict[str, str], enabled: str) -> None:
    settings = RuntimeSettings.from_environment({"AZUREML_ENTRY_SCRIPT": "score.py", **variables})
    assert worker_environment(settings, variables)["AML_APP_INSIGHTS_ENABLED"] == enabled


def test_worker_gets_the_log_level_that_the_front_has_checked() -> None:
    variables = {"AZUREML_ENTRY_SCRIPT": "score.py", "MODELYARD_LOG_LEVEL": "debug"}
    settings = RuntimeSettings.from_environment(variables)
    assert worker_environment(settings, variables)["MODELYARD_LOG_LEVEL"] == "DEBUG"
