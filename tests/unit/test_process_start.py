from __future__ import annotations

import logging
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from modelyard.process_start import read_settings, start
from modelyard.settings.section import Section

VARIABLE = "MODELYARD_TEST_CONFIG"


class Settings(Section):
    log_level: str = "INFO"
    log_format: str = "json"


load = partial(read_settings, Settings, VARIABLE)


@pytest.fixture(autouse=True)
def root_logger() -> Iterator[None]:
    """Restore the log of the test process."""
    root = logging.getLogger()
    before = root.level, root.handlers[:]
    yield
    root.setLevel(before[0])
    root.handlers[:] = before[1]


def test_settings_have_defaults_without_a_file(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(VARIABLE, raising=False)
    assert start(load, VARIABLE) == Settings()


def test_log_has_the_level_of_the_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    file = tmp_path / "settings.yaml"
    file.write_text("logLevel: ERROR\n")
    monkeypatch.setenv(VARIABLE, str(file))
    assert start(load, VARIABLE) == Settings(log_level="ERROR")
    assert logging.getLogger().level == logging.ERROR


@pytest.mark.parametrize(("content", "named"), [("logLevels: INFO\n", "logLevels"), (None, "No such file")])
def test_file_that_is_not_valid_is_named_on_standard_error(
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    content: str | None,
    named: str,
) -> None:
    file = tmp_path / "settings.yaml"
    if content is not None:
        file.write_text(content)
    monkeypatch.setenv(VARIABLE, str(file))
    assert start(load, VARIABLE) is None
    told = capsys.readouterr().err
    assert told.startswith(f"{VARIABLE}: ")
    assert named in told
