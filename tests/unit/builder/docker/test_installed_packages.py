"""Package metadata out of the archives that an engine sends of a container's folders."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from docker.errors import NotFound

from modelyard.builder.docker.installed_packages import read_installed_packages
from modelyard.contract.image_layout import ENVIRONMENT, RUNTIME

METADATA = "Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n"


class FakeEngine:
    """Serves archives by the folder of the container; a folder without one does not exist."""

    def __init__(self, archives: dict[str, dict[str, str]]) -> None:
        self.archives = archives
        self.removed: list[str] = []

    def create_container(self, image: str) -> dict[str, str]:
        return {"Id": f"container of {image}"}

    def get_archive(self, container: str, path: str) -> tuple[Iterator[bytes], dict[str, Any]]:
        if path not in self.archives:
            raise NotFound(path)
        buffer = io.BytesIO()
        with tarfile.open(fileobj=buffer, mode="w") as tar:
            for name, text in self.archives[path].items():
                member = tarfile.TarInfo(name)
                member.size = len(text)
                tar.addfile(member, io.BytesIO(text.encode()))
        content = buffer.getvalue()
        return (content[start : start + 1000] for start in range(0, len(content), 1000)), {}

    def remove_container(self, container: str, force: bool) -> None:
        self.removed.append(container)


def _site(name: str) -> dict[str, str]:
    folder = f"environment/lib/python3.11/site-packages/{name}"
    return {
        f"{folder}-1.0.dist-info/METADATA": METADATA.format(name=name),
        f"{folder}/__init__.py": "x" * 5000,
    }


def test_packages_of_environment_and_runtime_are_listed(tmp_path: Path) -> None:
    engine = FakeEngine({ENVIRONMENT: _site("numpy"), RUNTIME: _site("uvloop")})
    found = read_installed_packages(engine, "image", tmp_path / "installed")  # type: ignore[arg-type]
    assert [package.purl for package in found] == ["pkg:pypi/numpy@1.0", "pkg:pypi/uvloop@1.0"]
    assert not list(tmp_path.rglob("*.py"))
    assert engine.removed == ["container of image"]


def test_image_without_environment_has_the_packages_of_the_runtime(tmp_path: Path) -> None:
    engine = FakeEngine({RUNTIME: _site("uvloop")})
    found = read_installed_packages(engine, "image", tmp_path / "installed")  # type: ignore[arg-type]
    assert [package.name for package in found] == ["uvloop"]


def test_container_is_removed_when_the_archive_is_damaged(tmp_path: Path) -> None:
    engine = FakeEngine({})
    engine.get_archive = lambda *_: (iter([b"no tar"]), {})  # type: ignore[method-assign]
    with pytest.raises(tarfile.ReadError):
        read_installed_packages(engine, "image", tmp_path / "installed")  # type: ignore[arg-type]
    assert engine.removed == ["container of image"]
