"""The installed release: its monitors, and changed values for some tests."""

from __future__ import annotations

import contextlib
import json
import subprocess
from collections.abc import Iterator
from typing import Final

import yaml
from tests.support.cluster import OPERATOR_NAMESPACE, ROOT, Json

_NAME: Final = "modelyard"
_CHART: Final = ROOT / "charts" / "modelyard"
_UPGRADE: Final = ("upgrade", _NAME, str(_CHART), "--reset-then-reuse-values", "--values", "-")


def helm(*arguments: str, text: str = "") -> str:
    """Run helm in the namespace of the release, with an input, and return its output.

    Raises CalledProcessError if helm fails.
    """
    command = ["helm", "--namespace", OPERATOR_NAMESPACE, *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True, input=text).stdout


def monitors() -> list[Json]:
    """Return the monitors of the chart with the values of the installed release."""
    values = helm("get", "values", _NAME, "--output", "yaml")
    only = ("--set", "monitoring.monitors.enabled=true", "--show-only", "templates/monitoring.yaml")
    rendered = helm("template", _NAME, str(_CHART), "--values", "-", *only, text=values)
    return [item for item in yaml.safe_load_all(rendered) if item]


@contextlib.contextmanager
def changed_values(values: Json) -> Iterator[None]:
    """Upgrade the release with further values, and roll it back at the end. Both start a new operator."""
    history = json.loads(helm("history", _NAME, "--max", "1", "--output", "json"))
    revision = str(history[-1]["revision"])
    try:
        helm(*_UPGRADE, "--wait", text=json.dumps(values))
        yield
    finally:
        helm("rollback", _NAME, revision, "--wait")


def refusal(values: Json) -> str:
    """Return the error of an upgrade with further values, empty if the chart accepts them."""
    try:
        helm(*_UPGRADE, "--dry-run=server", text=json.dumps(values))
    except subprocess.CalledProcessError as error:
        return str(error.stderr)
    return ""
