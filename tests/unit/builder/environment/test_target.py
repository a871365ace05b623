from __future__ import annotations

from typing import Any

import pytest

from modelyard.builder.environment.target import (
    Target,
    read_target,
)
from modelyard.contract.errors import BaseImageUnfitError


def _config(*variables: str, architecture: str = "amd64") -> dict[str, Any]:
    return {"os": "linux", "architecture": architecture, "config": {"Env": list(variables)}}


@pytest.mark.parametrize(
    ("version", "config", "target"),
    [
        ("3.12", _config("PATH=/bin", "PYTHON_VERSION=3.12.4"), Target("3.12.4", "linux/amd64")),
        ("3.11", _config("PATH=/bin", architecture="arm64"), Target("3.11", "linux/arm64")),
        ("3.11", {"os": "linux", "architecture": "amd64", "config": {}}, Target("3.11", "linux/amd64")),
        (
            "3.11",
            {"os": "linux", "architecture": "amd64", "config": {"Env": None}},
            Target("3.11", "linux/amd64"),
        ),
        (None, _config("PYTHON_VERSION=3.14.0rc1"), Target("3.14.0rc1", "linux/amd64")),
    ],
)
def test_target_is_read_from_the_image_config(
    version: str | None, config: dict[str, Any], target: Target
) -> None:
    assert read_target(version, config) == target


@pytest.mark.parametrize(
    ("version", "config", "pattern"),
    [
        ("3.11", _config("PYTHON_VERSION=3.12.4"), r"3.11 has Python 3.12.4: correct build.baseImages"),
        (None, _config(), r"set pythonVersion"),
        ("3.11", _config(architecture="s390x"), r"for linux/s390x: .* linux/amd64 or linux/arm64"),
        ("3.11", {"os": "windows", "architecture": "amd64"}, r"windows/amd64"),
        ("3.11", _config("VIRTUAL_ENV=/opt/venv"), r"sets VIRTUAL_ENV, .* Docker"),
        ("3.11", _config("PYTHONNOUSERSITE=1"), r"sets PYTHONNOUSERSITE"),
    ],
)
def test_unfit_base_image_is_refused(version: str | None, config: dict[str, Any], pattern: str) -> None:
    with pytest.raises(BaseImageUnfitError, match=pattern):
        read_target(version, config)


def test_minor_version_omits_the_patch_release() -> None:
    assert Target("3.11", "linux/amd64").minor == Target("3.11.7", "linux/amd64").minor == "3.11"
