"""Helm and kubectl as `make cluster` provides them (.cluster/env), or as they are on PATH."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[3]
CHART = ROOT / "charts" / "modelyard"
# Of all ways to set a value the one that the others override.
REQUIRED = (
    "--set-json", 'image.repository="registry.example.com/modelyard"',
    "--set-json", 'registry.push="registry.example.com"',
)  # fmt: skip

Run = Callable[..., str]
Render = Callable[..., list[dict[str, Any]]]


class CommandError(Exception):
    """A command has failed; the text is what it wrote to its standard error."""


@pytest.fixture(scope="session")
def environment() -> dict[str, str]:
    if not (ROOT / ".cluster" / "env").exists():
        return dict(os.environ)
    script = '. .cluster/env && python3 -c "import json, os; print(json.dumps(dict(os.environ)))"'
    done = subprocess.run(["bash", "-c", script], cwd=ROOT, check=True, capture_output=True, text=True)
    return dict(json.loads(done.stdout))


def _runner(command: str, environment: dict[str, str]) -> Run:
    def run(*arguments: str | Path, stdin: str | None = None) -> str:
        program = shutil.which(command, path=environment["PATH"])
        if program is None:
            pytest.fail(f"there is no {command}: run `make cluster`")
        done = subprocess.run(
            [program, *map(str, arguments)],
            env=environment, input=stdin, capture_output=True, text=True, timeout=300, check=False,
        )  # fmt: skip
        if done.returncode:
            raise CommandError(done.stderr)
        return done.stdout

    return run


@pytest.fixture(scope="session")
def helm(environment: dict[str, str]) -> Run:
    return _runner("helm", environment)


@pytest.fixture(scope="session")
def kubectl(environment: dict[str, str]) -> Run:
    return _runner("kubectl", environment)


@pytest.fixture(scope="session")
def render(helm: Run) -> Render:
    """The objects of the chart with what is required set, and further arguments."""

    def render(*arguments: str, release: str = "modelyard") -> list[dict[str, Any]]:
        output = helm("template", release, CHART, "--namespace", "modelyard-system", *REQUIRED, *arguments)
        return [item for item in yaml.safe_load_all(output) if item]

    return render
