from __future__ import annotations

import pytest

from modelyard.builder.environment.conda_settings import CondaSettings

MIRRORED = CondaSettings(
    mirrors={
        "team": "https://mirror.example.com/team/",
        "https://conda.anaconda.org": "https://mirror.example.com/cloud",
    }
)


@pytest.mark.parametrize(
    ("settings", "channel", "urls"),
    [
        (CondaSettings(), "conda-forge", ["https://conda.anaconda.org/conda-forge"]),
        (CondaSettings(), "https://conda.example.com/x/", ["https://conda.example.com/x"]),
        (
            CondaSettings(),
            "defaults",
            ["https://repo.anaconda.com/pkgs/main", "https://repo.anaconda.com/pkgs/r"],
        ),
        (MIRRORED, "team", ["https://mirror.example.com/team"]),
        (MIRRORED, "conda-forge", ["https://mirror.example.com/cloud/conda-forge"]),
        (MIRRORED, "https://conda.anaconda.org/nvidia", ["https://mirror.example.com/cloud/nvidia"]),
        (MIRRORED, "https://conda.anaconda.org.example.com/x", ["https://conda.anaconda.org.example.com/x"]),
    ],
)
def test_channel_has_its_urls(settings: CondaSettings, channel: str, urls: list[str]) -> None:
    assert list(settings.urls(channel)) == urls


def test_settings_are_read_from_environment_variables() -> None:
    settings = CondaSettings.from_environment(
        {
            "MODELYARD_CONDA_CHANNELS": "team conda-forge",
            "MODELYARD_CONDA_MIRRORS": "team=https://mirror.example.com/?a=b",
            "MODELYARD_CONDA_VIRTUAL_PACKAGES": "__glibc=2.36 __cuda=12.4",
        }
    )
    assert settings.channels == ("team", "conda-forge")
    assert settings.mirrors == {"team": "https://mirror.example.com/?a=b"}
    assert settings.virtual_packages == {"__glibc": "2.36", "__cuda": "12.4"}
    assert settings.credentials is None
