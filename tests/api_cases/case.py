"""A manifest, described by its difference from the smallest valid manifest of its kind."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from modelyard.api.names import API_VERSION

ABSENT: Final = object()  # value of a change that removes a field

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
    """A valid manifest: the smallest one of its kind with changes, which map a dotted path to its value."""

    kind: str
    changes: Mapping[str, Any]

    def __str__(self) -> str:
        changes = ", ".join(f"{path}={_abbreviated(value)}" for path, value in self.changes.items())
        return f"{self.kind} {changes or 'minimal'}"[:100]

    def manifest(self) -> dict[str, Any]:
        """Return the object as a user applies it."""
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
    """An invalid manifest. Each error message about the path `field` contains `words`."""

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


def _abbreviated(value: Any) -> str:
    text = "absent" if value is ABSENT else repr(value)
    text = text if len(text) <= 40 else f"{text[:20]}…{text[-20:]} ({len(text)})"
    return text.encode("ascii", "backslashreplace").decode()
