"""Health of objects, computed by the code of Flux (kstatus) and of Argo CD."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Final, NamedTuple

import pytest
import yaml
from tests.support.programs import program
from tests.unit.conftest import harness, serving

from modelyard.api.kinds import KINDS
from modelyard.kube.types import Json

__all__ = ["harness", "serving"]
EXAMPLE: Final = Path(__file__).parents[3] / "charts/modelyard/examples/gitops/argocd-health.yaml"


class Health(NamedTuple):
    """Health of one object: from kstatus, and from the example's script for Argo CD."""

    flux: str
    argo: str


Healths = Callable[[Iterable[Json]], list[Health]]


@pytest.fixture(scope="session")
def healths() -> Healths:
    """Return a function that computes the health of each object."""
    script = _script()

    def ask(objects: Iterable[Json]) -> list[Health]:
        question = json.dumps({"script": script, "objects": list(objects)})
        done = subprocess.run(
            [program("health")], input=question, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        return [Health(**health) for health in json.loads(done.stdout)]

    return ask


def _script() -> str:
    """Return the Lua script of the example for Argo CD, which is the same for each kind."""
    settings = yaml.safe_load(EXAMPLE.read_text(encoding="utf-8"))["data"]
    assert set(settings) == {f"resource.customizations.health.modelyard.dev_{kind.name}" for kind in KINDS}
    (script,) = set(settings.values())
    return str(script)
