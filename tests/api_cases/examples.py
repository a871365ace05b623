"""The examples that the chart carries and the README shows."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import yaml

from modelyard.api.names import API_VERSION

FOLDER: Final = Path(__file__).parents[2] / "charts" / "modelyard" / "examples"


def examples() -> list[dict[str, Any]]:
    """Every object of ours in the chart's examples."""
    files = sorted(FOLDER.rglob("*.yaml"))
    documents = [
        document for file in files for document in yaml.safe_load_all(file.read_text(encoding="utf-8"))
    ]
    return [document for document in documents if document["apiVersion"] == API_VERSION]


def named(example: dict[str, Any]) -> str:
    """How a test's report calls it."""
    return f"{example['kind']} {example['metadata']['name']}"
