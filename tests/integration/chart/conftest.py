"""Fixtures of the tests of the chart."""

from __future__ import annotations

from typing import Any

import pytest
import yaml
from tests.integration.chart.tools import CHART, REQUIRED, Render, Run, runner


@pytest.fixture(scope="session")
def helm() -> Run:
    return runner("helm")


@pytest.fixture(scope="session")
def kubectl() -> Run:
    return runner("kubectl")


@pytest.fixture(scope="session")
def render(helm: Run) -> Render:
    """Render the chart with the required values and further arguments, and return the objects."""

    def render(*arguments: str, release: str = "modelyard") -> list[dict[str, Any]]:
        output = helm("template", release, CHART, "--namespace", "modelyard-system", *REQUIRED, *arguments)
        return [item for item in yaml.safe_load_all(output) if item]

    return render
