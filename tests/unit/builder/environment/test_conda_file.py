from __future__ import annotations

import json

import pytest

from modelyard.builder.environment.conda_file import (
    CondaFile,
    read_conda_file,
)
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


def test_exported_file_is_parsed() -> None:
    assert read_conda_file(EXPORTED) == CondaFile(
        dependencies=("python=3.12", "conda-forge::numpy >=2"),
        channels=("conda-forge",),
        pip=("torch==2.9.0", "requests"),
        variables={"OMP_NUM_THREADS": "2", "EMPTY": ""},
    )


@pytest.mark.parametrize(
    "dependency", ["python", "python=3.12", "python >=3.11", "Python", "conda-forge::python"]
)
def test_dependency_is_python_itself(dependency: str) -> None:
    assert CondaFile((dependency,)).names_python


@pytest.mark.parametrize("dependency", ["python-dateutil", "cpython", "python_abi=3.12"])
def test_dependency_with_another_name_is_not_python(dependency: str) -> None:
    assert not CondaFile((dependency,)).names_python


@pytest.mark.parametrize(
    ("text", "message"),
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
        ("dependencies: [python]\nplatforms: [linux-64]", "unknown keys: platforms"),
        ("dependencies: [python]\nvariables: [A]", "variables must be a mapping"),
        ("dependencies: [python]\nvariables: {A: [1]}", "variables must be a mapping"),
        ("dependencies: [python]\nvariables: {A B: 1}", "'A B' cannot be set"),
        ("dependencies: [python]\nvariables: {PATH: /bin}", "'PATH' cannot be set"),
        ("dependencies: [python]\nvariables: {A: " + "9" * 5000 + "}", "too long"),
        ("dependencies: [python]\nvariables: {A: 0b" + "1" * 50_000 + "}", "too long"),
        ("dependencies: [python]\nvariables: {A: 9999-99-99}", "no value of its type"),
        ("dependencies: [!!bool x]", "no value of its type"),
        ("dependencies: [!!timestamp x]", "no value of its type"),
        ("dependencies: [!!int '']", "no value of its type"),
        ("[" * 60_000, "20 levels deep"),
        ("- " * 60_000, "20 levels deep"),
        ("a: &a {x: 1}\nb: {<<: [*a, *a]}", r"alias \*a is not supported"),
        ("dependencies: [python]\nchannels: ['http://[']", "invalid URL"),
    ],
)
def test_invalid_file_is_refused(text: str, message: str) -> None:
    with pytest.raises(CondaFileInvalidError, match=message):
        read_conda_file(text)


@pytest.mark.parametrize(
    "where", ["channels: ['{}']\ndependencies: [python]", "dependencies: [python, '{}']"]
)
@pytest.mark.parametrize(
    "named",
    [
        *("file:///etc", "file:/etc", "file:etc", "File:x", "/etc/x-1-0.conda", "../x-1-0.conda", "~/x"),
        *("s3://bucket/x", "oci://h/x"),
    ],
)
def test_path_or_other_url_is_refused(where: str, named: str) -> None:
    with pytest.raises(CondaFileInvalidError, match="neither a name nor an http"):
        read_conda_file(where.format(named))


@pytest.mark.parametrize(
    "dependency",
    ["x[url=/etc/x-1-0.conda]", "x[url='file:///etc/x']", "x[channel=file:///etc]", "file:///etc::x"],
)
def test_path_within_a_match_specification_is_refused(dependency: str) -> None:
    with pytest.raises(CondaFileInvalidError, match="neither a name nor an http"):
        read_conda_file(json.dumps({"dependencies": ["python", dependency]}))


@pytest.mark.parametrize(
    "dependency",
    [
        "conda-forge::x", "conda-forge/linux-64::x", "https://h/c::x=1.*", "https://h/x-1-0.conda",
        "x[version='>=1,<2', channel=https://h/c]", "x >=1,<2|3.*", "x=1.0=py312*_0",
    ],
)  # fmt: skip
def test_name_or_http_url_is_accepted(dependency: str) -> None:
    file = read_conda_file(json.dumps({"dependencies": ["python", dependency]}))
    assert file.dependencies == ("python", dependency)


@pytest.mark.parametrize(
    "channel", ["https://me:s3cret@conda.example.com/team", "https://conda.anaconda.org/t/s3cret/team"]
)
def test_channel_with_credentials_is_refused_without_showing_them(channel: str) -> None:
    with pytest.raises(CondaFileInvalidError, match=r"build\.conda\.secretName") as caught:
        read_conda_file(f"dependencies: [python]\nchannels: [{channel}]")
    assert "s3cret" not in str(caught.value)
