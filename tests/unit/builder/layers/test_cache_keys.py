"""Keys of the layer cache."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from modelyard.builder.environment.conda_file import CondaFile
from modelyard.builder.environment.conda_settings import CondaSettings
from modelyard.builder.layers.cache_keys import conda_key

FILE = CondaFile(("python=3.12", "numpy"), variables={"A": "1"})
INPUTS: dict[str, Any] = {
    "file": FILE,
    "requirements": "scipy\n",
    "python": None,
    "platform": "linux/amd64",
    "settings": CondaSettings(),
    "registrations": {"manifest": "1"},
}


@pytest.mark.parametrize(
    "change",
    [
        {"file": replace(FILE, dependencies=("python=3.12",))},
        {"file": replace(FILE, channels=("team",))},
        {"requirements": None},
        {"python": "3.12"},
        {"platform": "linux/arm64"},
        {"settings": CondaSettings(channels=("team",))},
        {"settings": CondaSettings(virtual_packages={"__glibc": "2.36"})},
        {"registrations": {"manifest": "2"}},
    ],
)
def test_conda_key_changes_with_the_packages(change: dict[str, Any]) -> None:
    assert conda_key(**INPUTS | change) != conda_key(**INPUTS)


@pytest.mark.parametrize(
    "change",
    [
        {"file": replace(FILE, variables={})},
        {"requirements": " scipy"},
        {"settings": CondaSettings(mirrors={"conda-forge": "https://mirror.example.com"})},
        {"registrations": {"manifest": "1", "model m": "2"}},
    ],
)
def test_conda_key_ignores_inputs_that_do_not_change_the_packages(change: dict[str, Any]) -> None:
    assert conda_key(**INPUTS | change) == conda_key(**INPUTS)
