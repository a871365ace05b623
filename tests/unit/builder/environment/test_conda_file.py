from __future__ import annotations

import json

import pytest

from modelyard.builder.environment.conda_file import (
    CondaFile,
    read_conda_file,
)
from modelyard.builder.environment.conda_settings import CondaSettings
from modelyard.contract.errors import CondaFileInvalidError

EXPORTED = """
name: churn
channels: [conda-forge, nodefaults]
dependencies:
  - python=3.12
  - conda-forge::numpy >=2
  - pip:
      - torch==2.9.0
      - requests
variables: {OMP_NUM_THREADS: 2, EMPTY: }
prefix: /home/me/envs/churn
"""


def test_an_exported_file() -> None:
    assert read_conda_file(EXPORTED) == CondaFile(
        dependencies=("python=3.12", "conda-forge::numpy >=2"),
        channels=("conda-forge",),
        pip=("torch==2.9.0", "requests"),
        variables={"OMP_NUM_THREADS": "2", "EMPTY": ""},
    )


@pytest.mark.parametrize(
    "written", ["python", "python=3.12", "python >=3.11", "Python", "conda-forge::python"]
)
def test_python_is_recognised(written: str) -> None:
    assert CondaFile((written,)).names_python


@pytest.mark.parametrize("written", ["python-dateutil", "cpython", "python_abi=3.12"])
def test_other_names_are_not_python(written: str) -> None:
    assert not CondaFile((written,)).names_python


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("dependencies: [a\nb: }", "not YAML, line 2"),
        ("python=3.12", "must have a list `dependencies`"),
        ("", "must have a list `dependencies`"),
        ("name: x", "dependencies must be a list"),
        ("dependencies: []", "dependencies must be a list"),
        ("dependencies: [python, 3]", "dependencies must be a list of texts"),
        ("dependencies: [python, {npm: [x]}]", "one list `pip:`"),
        ("dependencies: [python, {pip: x}]", "pip: must be a list of texts"),
        ("dependencies: [python]\nchannels: conda-forge", "channels must be a list of texts"),
        ("dependencies: [python]\nplatforms: [linux-64]", "platforms is not known"),
        ("dependencies: [python]\nvariables: [A]", "variables must be names"),
        ("dependencies: [python]\nvariables: {A: [1]}", "variables must be names"),
        ("dependencies: [python]\nvariables: {A B: 1}", "'A B' cannot be set"),
        ("dependencies: [python]\nvariables: {PATH: /bin}", "'PATH' cannot be set"),
    ],
)
def test_what_is_refused(text: str, said: str) -> None:
    with pytest.raises(CondaFileInvalidError, match=said):
        read_conda_file(text)


@pytest.mark.parametrize(
    "where", ["channels: ['{}']\ndependencies: [python]", "dependencies: [python, '{}']"]
)
@pytest.mark.parametrize(
    "named",
    ["file:///etc", "file:/etc", "/etc/x-1-0.conda", "../x-1-0.conda", "~/x", "s3://bucket/x", "oci://h/x"],
)
def test_files_of_the_builder_are_not_for_environments(where: str, named: str) -> None:
    with pytest.raises(CondaFileInvalidError, match="neither a name nor an http"):
        read_conda_file(where.format(named))


@pytest.mark.parametrize(
    "dependency",
    ["x[url=/etc/x-1-0.conda]", "x[url='file:///etc/x']", "x[channel=file:///etc]", "file:///etc::x"],
)
def test_nor_by_way_of_a_specification(dependency: str) -> None:
    with pytest.raises(CondaFileInvalidError, match="neither a name nor an http"):
        read_conda_file(json.dumps({"dependencies": ["python", dependency]}))


@pytest.mark.parametrize(
    "dependency",
    [
        "conda-forge::x", "conda-forge/linux-64::x", "https://h/c::x=1.*", "https://h/x-1-0.conda",
        "x[version='>=1,<2', channel=https://h/c]", "x >=1,<2|3.*", "x=1.0=py312*_0",
    ],
)  # fmt: skip
def test_names_and_the_web_are(dependency: str) -> None:
    file = read_conda_file(json.dumps({"dependencies": ["python", dependency]}))
    assert file.dependencies == ("python", dependency)


@pytest.mark.parametrize(
    "channel", ["https://me:s3cret@conda.example.com/team", "https://conda.anaconda.org/t/s3cret/team"]
)
def test_credentials_do_not_belong_into_the_file(channel: str) -> None:
    with pytest.raises(CondaFileInvalidError, match=r"build\.conda\.secretName") as caught:
        read_conda_file(f"dependencies: [python]\nchannels: [{channel}]")
    assert "s3cret" not in str(caught.value)


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
def test_where_channels_are(settings: CondaSettings, channel: str, urls: list[str]) -> None:
    assert list(settings.urls(channel)) == urls


def test_settings_of_a_job() -> None:
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
