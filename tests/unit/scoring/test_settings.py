import re
from pathlib import Path

import pytest

from modelyard.scoring import contract
from modelyard.scoring.environment import SettingsError
from modelyard.scoring.settings import NO_TIMEOUT_MS, RuntimeSettings
from modelyard.scoring.spool.settings import CollectionSettings

DRIVER = {"AZUREML_ENTRY_SCRIPT": "score.py"}
LEVELS = ("debug", "INFO", "")


def test_settings_have_the_defaults_of_azure_ml_containers() -> None:
    assert RuntimeSettings.from_environment(DRIVER) == RuntimeSettings(
        app_root=Path("/var/azureml-app"),
        entry_script="score.py",
        work_dir=None,
        host="0.0.0.0",
        port=5001,
        keys_dir=None,
        init_seconds=3600,
        max_concurrent_requests=1,
        queue_timeout_seconds=0.5,
        scoring_timeout_ms=3_600_000,
        drain_seconds=30,
        max_body_bytes=104_857_600,
        max_held_bytes=268_435_456,
        workers=1,
        spark=False,
        stuck_seconds=60,
        cors_origins=(),
        access_log=False,
        log_level=None,
        telemetry=False,
        model_name="",
        model_version="",
        collection=None,
    )


def test_driver_is_main_py_if_no_variable_names_one(tmp_path: Path) -> None:
    (tmp_path / "main.py").touch()
    place = {"AML_APP_ROOT": str(tmp_path)}

    assert RuntimeSettings.from_environment(place).entry_script == "main.py"
    assert RuntimeSettings.from_environment(place | DRIVER).entry_script == "score.py"


def test_docs_name_every_variable_of_the_runtime() -> None:
    pattern = re.compile(r"\b(?:AML|AZUREML|MODELYARD|SCORING)_[A-Z_]+\b")
    variables = set(pattern.findall(Path(contract.__file__).read_text(encoding="utf-8")))
    docs = (Path(__file__).parents[3] / "docs" / "reference.md").read_text(encoding="utf-8")

    assert "MODELYARD_KEYS_DIR" in variables
    assert variables - set(pattern.findall(docs)) == set()


@pytest.mark.parametrize(
    ("variable", "value", "message"),
    [
        (
            "AZUREML_ENTRY_SCRIPT",
            "",
            "AZUREML_ENTRY_SCRIPT is not set: it names the driver file in AML_APP_ROOT",
        ),
        ("MODELYARD_PORT", "http", "MODELYARD_PORT must be a whole number, not 'http'"),
        (
            "MODELYARD_MAX_CONCURRENT_REQUESTS",
            "0",
            "MODELYARD_MAX_CONCURRENT_REQUESTS must be 1 or more, not 0",
        ),
        ("SCORING_TIMEOUT_MS", "1.5", "SCORING_TIMEOUT_MS must be a whole number, not '1.5'"),
        ("WORKER_TIMEOUT", "soon", "WORKER_TIMEOUT must be a whole number, not 'soon'"),
        ("WORKER_COUNT", "0", "WORKER_COUNT must be 1 or more, not 0"),
        (
            "AML_CORS_ORIGINS",
            "https://(a",
            "AML_CORS_ORIGINS: 'https://(a' is no regular expression:"
            " missing ), unterminated subpattern at position 8",
        ),
        ("MODELYARD_DRAIN_SECONDS", "-1", "MODELYARD_DRAIN_SECONDS must be 1 or more, not -1"),
        (
            "MODELYARD_COLLECTION_SAMPLE_PERCENT",
            "101",
            "MODELYARD_COLLECTION_SAMPLE_PERCENT must be 100 or less, not 101",
        ),
        (
            "MODELYARD_COLLECTION_MAX_BODY_BYTES",
            "1048577",
            "MODELYARD_COLLECTION_MAX_BODY_BYTES must be 1048576 or less, not 1048577",
        ),
    ],
)
def test_error_names_the_variable_and_its_invalid_value(variable: str, value: str, message: str) -> None:
    with pytest.raises(SettingsError) as raised:
        RuntimeSettings.from_environment({**DRIVER, "MODELYARD_COLLECTION_DIR": "/spool", variable: value})

    assert str(raised.value) == message


@pytest.mark.parametrize(
    ("variables", "milliseconds"),
    [
        ({"SCORING_TIMEOUT_MS": "500.0"}, 500),
        ({"SCORING_TIMEOUT_MS": "0"}, NO_TIMEOUT_MS),
        ({"WORKER_TIMEOUT": "2"}, 2000),
        ({"WORKER_TIMEOUT": "0"}, 3_600_000),
        ({"WORKER_TIMEOUT": "20", "SCORING_TIMEOUT_MS": "500"}, 500),
    ],
)
def test_shorter_time_limit_of_run_counts(variables: dict[str, str], milliseconds: int) -> None:
    assert RuntimeSettings.from_environment({**DRIVER, **variables}).scoring_timeout_ms == milliseconds


def test_collection_has_defaults_once_it_has_a_folder() -> None:
    settings = RuntimeSettings.from_environment({**DRIVER, "MODELYARD_COLLECTION_DIR": "/spool"})
    assert settings.collection == CollectionSettings(Path("/spool"), 268_435_456, 100, 65_536)


def test_worker_count_is_the_default_of_workers() -> None:
    count = {**DRIVER, "WORKER_COUNT": "3"}
    settings = RuntimeSettings.from_environment(count)
    assert (settings.workers, settings.max_concurrent_requests) == (3, 3)
    assert RuntimeSettings.from_environment({**count, "MODELYARD_WORKERS": "2"}).workers == 2


def test_level_debug_turns_the_access_log_on() -> None:
    levels = {
        level: RuntimeSettings.from_environment(DRIVER | {"MODELYARD_LOG_LEVEL": level}) for level in LEVELS
    }
    assert {level: (found.log_level, found.access_log) for level, found in levels.items()} == {
        "debug": ("DEBUG", True),
        "INFO": ("INFO", False),
        "": (None, False),
    }


def test_unknown_level_is_refused() -> None:
    with pytest.raises(SettingsError, match="MODELYARD_LOG_LEVEL must be one of DEBUG, INFO, WARNING, ERROR"):
        RuntimeSettings.from_environment(DRIVER | {"MODELYARD_LOG_LEVEL": "TRACE"})
