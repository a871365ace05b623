"""The examples in the chart, which README.md refers to."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import yaml

from modelyard.api.names import API_VERSION

FOLDER: Final = Path(__file__).parents[2] / "charts" / "modelyard" / "examples"


def examples() -> list[dict[str, Any]]:
    """Return the objects of the four kinds in the examples of the chart."""
    files = sorted(FOLDER.rglob("*.yaml"))
    documents = [
        document for file in files for document in yaml.safe_load_all(file.read_text(encoding="utf-8"))
    ]
    return [document for document in documents if document.get("apiVersion") == API_VERSION]


def example_id(example: dict[str, Any]) -> str:
    """Return the id of an example's test in the report."""
    return f"{example['kind']} {example['metadata']['name']}"
