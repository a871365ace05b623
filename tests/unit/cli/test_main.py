"""The command `modelyard`: its version, its commands, and missing extras."""

from __future__ import annotations

import sys
from importlib.metadata import version
from pathlib import Path

import pytest

from modelyard.cli.main import main


def test_missing_package_is_named_with_its_extra(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delitem(sys.modules, "modelyard.gateway.server", raising=False)
    monkeypatch.delitem(sys.modules, "modelyard.gateway.app", raising=False)
    monkeypatch.setitem(sys.modules, "fastapi", None)
    assert main(["gateway"]) == 2
    assert capsys.readouterr().err == (
        "modelyard gateway: the Python package fastapi is not installed;"
        " run: pip install 'modelyard[gateway]'\n"
    )


def test_missing_module_of_modelyard_raises_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "modelyard.gateway.server", None)
    with pytest.raises(ModuleNotFoundError):
        main(["gateway"])


def test_version_option_prints_the_version_of_the_package(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as exit_:
        main(["--version"])
    assert (exit_.value.code, capsys.readouterr().out) == (0, f"modelyard {version('modelyard')}\n")


def test_crds_are_written(tmp_path: Path) -> None:
    assert main(["crds", str(tmp_path)]) == 0
    assert len(list(tmp_path.iterdir())) == 4


@pytest.mark.parametrize(
    ("command", "variable"),
    [
        ("operator", "MODELYARD_CONFIG"),
        ("images", "MODELYARD_CONFIG"),
        ("gateway", "MODELYARD_GATEWAY_CONFIG"),
    ],
)
def test_missing_settings_file_ends_a_command(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    command: str,
    variable: str,
) -> None:
    monkeypatch.setenv(variable, str(tmp_path / "absent"))
    assert main([command, "list"] if command == "images" else [command]) == 2
    assert capsys.readouterr().err.startswith(f"{variable}: ")
