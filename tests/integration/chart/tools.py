"""Helm and kubectl as `make cluster` provides them (.cluster/env), or as they are on PATH."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any, Final

import pytest
import yaml

from modelyard.settings import OperatorSettings

ROOT: Final = Path(__file__).parents[3]
CHART: Final = ROOT / "charts" / "modelyard"
# --set-json has the lowest precedence, so that tests may override these values by other flags.
REQUIRED: Final = (
    "--set-json", 'image.repository="registry.example.com/modelyard"',
    "--set-json", 'registry.push="registry.example.com"',
)  # fmt: skip

Run = Callable[..., str]
Render = Callable[..., list[dict[str, Any]]]


class CommandError(Exception):
    """A command has failed. The text is the command's standard error."""


@cache
def environment() -> dict[str, str]:
    """Return the environment after `. .cluster/env`, or the present one without that file."""
    if not (ROOT / ".cluster" / "env").exists():
        return dict(os.environ)
    script = '. .cluster/env && python3 -c "import json, os; print(json.dumps(dict(os.environ)))"'
    done = subprocess.run(["bash", "-c", script], cwd=ROOT, check=True, capture_output=True, text=True)
    return dict(json.loads(done.stdout))


def runner(command: str) -> Run:
    """Return a function that runs a command with arguments and an optional input, and returns its output."""

    def run(*arguments: str | Path, text: str | None = None) -> str:
        program = shutil.which(command, path=environment()["PATH"])
        if program is None:
            pytest.fail(f"{command} is not installed: run `make cluster`")
        done = subprocess.run(
            [program, *map(str, arguments)],
            env=environment(), input=text, capture_output=True, text=True, timeout=300, check=False,
        )  # fmt: skip
        if done.returncode:
            raise CommandError(done.stderr)
        return done.stdout

    return run


def of_kind(objects: list[dict[str, Any]], *kinds: str) -> list[dict[str, Any]]:
    return [item for item in objects if item["kind"] in kinds]


def named(objects: list[dict[str, Any]], kind: str, name: str) -> dict[str, Any]:
    (found,) = (item for item in of_kind(objects, kind) if item["metadata"]["name"] == name)
    return found


def pods(objects: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """Return the metadata and spec of each pod by name; a Deployment counts as the pod of its template."""
    found = {item["metadata"]["name"]: item for item in of_kind(objects, "Deployment", "Pod")}
    return {name: item["spec"].get("template", item) for name, item in found.items()}


def settings(objects: list[dict[str, Any]]) -> OperatorSettings:
    """Return the settings of the operator in the rendered ConfigMap."""
    configs = of_kind(objects, "ConfigMap")
    files = {item["metadata"]["labels"]["app.kubernetes.io/name"]: item["data"] for item in configs}
    return OperatorSettings.model_validate(yaml.safe_load(files["modelyard"]["settings.yaml"]))
