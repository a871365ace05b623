import re
from pathlib import Path

import pytest

from modelyard.scoring import contract
from modelyard.scoring.settings import RuntimeSettings, SettingsError

DRIVER = {"AZUREML_ENTRY_SCRIPT": "score.py"}


def test_settings_have_the_defaults_of_azure_ml_containers() -> None:
    assert RuntimeSettings.from_environment(DRIVER) == RuntimeSettings(
        app_root=Path("/var/azureml-app"),
        entry_script="score.py",
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
        stuck_seconds=60,
        cors_origins=(),
        access_log=False,
        telemetry=False,
    )


def test_docs_name_every_variable_of_the_runtime() -> None:
    pattern = re.compile(r"\b(?:AML|AZUREML|MODELYARD|SCORING)_[A-Z_]+\b")
    variables = set(pattern.findall(Path(contract.__file__).read_text(encoding="utf-8")))
    docs = (Path(__file__).parents[3] / "docs" / "scoring.md").read_text(encoding="utf-8")

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
        ("MODELYARD_DRAIN_SECONDS", "-1", "MODELYARD_DRAIN_SECONDS must be 1 or more, not -1"),
    ],
)
def test_error_names_the_variable_and_its_invalid_value(variable: str, value: str, message: str) -> None:
    with pytest.raises(SettingsError) as raised:
        RuntimeSettings.from_environment({**DRIVER, variable: value})

    assert str(raised.value) == message
