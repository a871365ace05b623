"""What GitOps tools say of objects, by their own code."""

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

from modelyard.kube.types import Json

__all__ = ["harness", "serving"]
EXAMPLE: Final = Path(__file__).parents[3] / "charts/modelyard/examples/gitops/argocd.yaml"


class Health(NamedTuple):
    """One object's: kstatus's, and that of the example's script for Argo CD."""

    flux: str
    argo: str


Healths = Callable[[Iterable[Json]], list[Health]]


@pytest.fixture(scope="session")
def healths() -> Healths:
    """The health of each object, as the API server shows it."""
    script = _script()

    def ask(objects: Iterable[Json]) -> list[Health]:
        question = json.dumps({"script": script, "objects": list(objects)})
        done = subprocess.run(
            [program("health")], input=question, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        return [Health(**said) for said in json.loads(done.stdout)]

    return ask


def _script() -> str:
    """The one that the example gives to Argo CD."""
    documents = yaml.safe_load_all(EXAMPLE.read_text(encoding="utf-8"))
    (settings,) = (document["data"] for document in documents if document["kind"] == "ConfigMap")
    script: str = yaml.safe_load(settings["resource.customizations"])["modelyard.dev/*"]["health.lua"]
    return script
