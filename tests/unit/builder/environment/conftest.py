"""A package index in a thread, and an installer that uses it."""

from __future__ import annotations

import io
import platform
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.support.git_server import GitServer
from tests.support.web_server import WebServer
from tests.unit.builder.environment.index import Index

from modelyard.builder.environment.pip import install_requirements
from modelyard.builder.environment.pip_settings import PipSettings
from modelyard.builder.environment.requirements import parse_requirements
from modelyard.builder.environment.target import Target
from modelyard.builder.environment.uv import Uv
from modelyard.builder.log import BuildLog

HERE = f"{sys.version_info.major}.{sys.version_info.minor}"
PLATFORM = {"x86_64": "linux/amd64", "aarch64": "linux/arm64"}[platform.machine()]


class Installer:
    """Installs requirements from the index into folders of a workspace."""

    def __init__(self, index: Index, workspace: Path) -> None:
        self.workspace = workspace
        self.ca_bundle: Path | None = None
        self.pip_conf = f"[global]\nindex-url = {index.url}\nretries = 0\n"
        self.out = io.StringIO()
        self.log = BuildLog(self.out)

    @property
    def settings(self) -> PipSettings:
        """Return settings with a pip.conf, as builds get it from the chart's Secret."""
        file = self.workspace / "pip.conf"
        file.write_text(self.pip_conf)
        return PipSettings(self.ca_bundle, file)

    def __call__(self, requirements: str, target: Target | None = None, *, folder: str = "tree") -> Path:
        tree = self.workspace / folder
        parsed = parse_requirements(requirements)
        install_requirements(Uv(parsed, target or Target(HERE, PLATFORM), self.settings, self.log), tree)
        return tree


@pytest.fixture
def index(web: WebServer) -> Index:
    return Index(web)


@pytest.fixture
def installer(index: Index, tmp_path: Path) -> Installer:
    return Installer(index, tmp_path)


@pytest.fixture
def git_server(tmp_path: Path) -> Iterator[GitServer]:
    folder = tmp_path / "git"
    folder.mkdir()
    with GitServer(folder) as server:
        yield server
