"""Wheels that try to write outside of their folder, to read files of the builder, or to run code."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.unit.builder.environment.conftest import HERE, Installer
from tests.unit.builder.environment.index import Index

from modelyard.builder.layers.tar_stream import tar_of
from modelyard.coded_error import CodedError

SECRET = "token-of-the-builder"
SITE = f"lib/python{HERE}/site-packages"


@pytest.fixture
def outside(tmp_path: Path) -> Path:
    """A folder beside the environment, with a file that no wheel may read or replace."""
    folder = tmp_path / "outside"
    folder.mkdir()
    (folder / "secret").write_text(SECRET)
    return folder


@pytest.fixture
def environment(installer: Installer, outside: Path) -> Iterator[Installer]:
    """Install wheels; afterwards the files outside are the same, and the layer contains none of them."""
    yield installer
    assert [path.name for path in outside.iterdir()] == ["secret"]
    assert (outside / "secret").read_text() == SECRET
    tree = installer.workspace / "tree"
    assert not (tree.exists() and SECRET.encode() in b"".join(tar_of({"environment": tree}).open()))


def _install(installer: Installer, requirement: str = "x") -> str:
    """Return the error of an installation, empty if it succeeds."""
    try:
        installer(requirement)
    except CodedError as error:
        return str(error)
    return ""


@pytest.mark.parametrize("target", ["{outside}/secret", "../../../../outside/secret", "/proc/self/environ"])
def test_symbolic_link_leads_to_no_file_of_the_builder(
    index: Index, environment: Installer, outside: Path, target: str
) -> None:
    paths = ("x/link.py", "x/link.pyc", f"{SITE}/x/link")
    index.wheel("x", links={path: target.format(outside=outside) for path in paths})
    _install(environment)
    tree = environment.workspace / "tree"
    assert not [path for path in tree.rglob("link*") if path.is_symlink()]


def test_symbolic_link_to_a_folder_is_no_way_out(index: Index, environment: Installer, outside: Path) -> None:
    index.wheel("x", links={"x/folder": str(outside)}, files={"x/folder/evil": "1"})
    _install(environment)
    assert not (outside / "evil").exists()


@pytest.mark.parametrize(
    "path",
    [
        "../../../../outside/evil",
        "x/../../../../../outside/evil",
        "{outside}/evil",
        "x-1.0.data/data/../../../../../outside/evil",
        "x-1.0.data/data/{outside}/evil",
        "x-1.0.data/scripts/../../../../outside/evil",
        "x-1.0.data/purelib/../../../../../outside/evil",
        "x-1.0.data/headers/../../../../../../outside/evil",
        "..\\..\\..\\..\\outside\\evil",
    ],
)
def test_path_of_a_wheel_leads_to_no_file_outside(
    index: Index, environment: Installer, outside: Path, path: str
) -> None:
    index.wheel("x", files={path.format(outside=outside): "1"})
    _install(environment)
    before = {"outside", "pip.conf", "tree"}
    assert {path.name for path in environment.workspace.iterdir()} <= before


def test_installation_runs_no_code_of_a_wheel(index: Index, environment: Installer, outside: Path) -> None:
    paths = [
        "x.pth",
        "x/__init__.py",
        "sitecustomize.py",
        "usercustomize.py",
        "compileall.py",
        "py_compile.py",
        "encodings/__init__.py",
        "x-1.0.data/purelib/y.pth",
        "x-1.0.data/data/lib/python3/site-packages/sitecustomize.py",
    ]
    code = f"import pathlib; pathlib.Path({str(outside / 'ran')!r}).touch()\n"
    script = f"#!/bin/sh\ntouch {outside / 'ran'}\n"
    scripts = {f"x-1.0.data/scripts/{name}": script for name in ("sh", "uv", "ldd")}
    index.wheel("x", files={**dict.fromkeys(paths, code), **scripts})
    assert _install(environment) == ""
    tree = environment.workspace / "tree"
    assert (tree / SITE / "compileall.py").read_text() == code
    assert (tree / "bin" / "uv").exists()
