"""A manifest as a change of a valid one."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from modelyard.api.names import API_VERSION

ABSENT: Final = object()  # the value that takes a field away

SPECS: Final[dict[str, dict[str, Any]]] = {
    "Model": {"url": "https://example.com/model.pkl", "mimeType": "application/octet-stream"},
    "Manifest": {
        "assets": [{"id": "driver", "content": "def init(): ...\n"}],
        "driverProgram": "driver",
        "targetRuntime": {"runtimeType": "Python", "properties": {}},
    },
    "Image": {"manifestId": "diabetes", "imageType": "Docker"},
    "Service": {"imageId": "diabetes"},
}


@dataclass(frozen=True)
class Good:
    """The smallest valid object of a kind, with changes: a dotted path and the value to set there."""

    kind: str
    changes: Mapping[str, Any]

    def __str__(self) -> str:
        said = ", ".join(f"{path}={_shown(value)}" for path, value in self.changes.items())
        return f"{self.kind} {said or 'minimal'}"[:100]

    def manifest(self) -> dict[str, Any]:
        """The object as a user applies it."""
        tree: dict[str, Any] = {
            "apiVersion": API_VERSION,
            "kind": self.kind,
            "metadata": {"name": "diabetes"},
            "spec": copy.deepcopy(SPECS[self.kind]),
        }
        for path, value in self.changes.items():
            _set(tree, path, copy.deepcopy(value) if value is not ABSENT else ABSENT)
        return tree


@dataclass(frozen=True)
class Bad(Good):
    """The same, refused: `field` is the path that is blamed, `words` stand in every message about it."""

    field: str
    words: str


def _set(tree: Any, path: str, value: Any) -> None:
    *parents, last = [int(step) if step.isdigit() else step for step in path.split(".")]
    for step in parents:
        tree = tree[step] if isinstance(tree, list) else tree.setdefault(step, {})
    if value is ABSENT:
        del tree[last]
    else:
        tree[last] = value


def _shown(value: Any) -> str:
    text = "absent" if value is ABSENT else repr(value)
    text = text if len(text) <= 40 else f"{text[:20]}…{text[-20:]} ({len(text)})"
    return text.encode("ascii", "backslashreplace").decode()
