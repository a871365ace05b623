"""From `kubectl apply` of a changed model to the first answer of its version, while the old one serves."""

from __future__ import annotations

import os
import statistics
import time
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from tests.bench.builder.source import MB
from tests.bench.progress import say
from tests.support.cluster import Json, Kubectl, eventually, registry_inside
from tests.support.load import Load
from tests.support.publish import publish

_NAME: Final = "roll"
_ROUNDS: Final = 3
_BYTES: Final = 100 * MB
_MARK: Final = 8  # bytes at the beginning of a model, which its version answers
_DRIVER: Final = f"""
import os

def init():
    global mark
    (model,) = os.scandir(os.environ["AZUREML_MODEL_DIR"])
    with open(model, "rb") as file:
        mark = file.read()[:{_MARK}].hex()

def run(body):
    return mark
"""


@dataclass(frozen=True)
class Roll:
    """Median of some rolls, and all requests beside them."""

    seconds: float
    answered: int
    failed: int


def roll(kubectl: Kubectl, folder: Path) -> Roll:
    """Rolls of a Service with one replica, each to a new model; each request has its own connection."""
    model, _ = _published(folder)
    kubectl.apply(model, *_objects())
    _serves(kubectl, 1)
    taken = []
    with Load(kubectl, _NAME, "{}", connections=2, per_second=50, seconds=600, new_connections=True) as load:
        for index in range(_ROUNDS):
            model, mark = _published(folder)
            applied = time.time()
            kubectl.apply(model)
            first = eventually(lambda mark=mark: _first_at(load, mark), 120, "an answer of the new version")
            taken.append(first - applied)
            say(f"apply of a changed 100 MB model to the first answer of its version: {taken[-1]:.1f} s")
            _serves(kubectl, index + 2)
            load.more(10)  # in which the old replica goes
        answered, failed, errors = load.total()
    if failed:
        say(f"{failed} requests failed: {errors}")
    return Roll(statistics.median(taken), answered, failed)


def _published(folder: Path) -> tuple[Json, str]:
    """A Model that nobody has seen before, and what its version answers."""
    content = os.urandom(_BYTES)
    file = folder / "model.bin"
    file.write_bytes(content)
    tag = uuid.uuid4().hex[:8]
    publish(file, "bench/model", tag)
    spec = {"url": f"oci://{registry_inside()}/bench/model:{tag}", "mimeType": "application/octet-stream"}
    return _object("Model", spec), content[:_MARK].hex()


def _objects() -> list[Json]:
    manifest = {
        "modelIds": [_NAME],
        "driverProgram": "driver",
        "assets": [{"id": "driver", "content": _DRIVER}],
        "targetRuntime": {"runtimeType": "Python", "properties": {}},
    }
    service = {"imageId": _NAME, "numReplicas": 1, "containerResourceReservation": {"cpu": "100m"}}
    return [
        _object("Manifest", manifest),
        _object("Image", {"manifestId": _NAME, "imageType": "Docker"}),
        _object("Service", service),
    ]


def _object(kind: str, spec: Json) -> Json:
    return {
        "apiVersion": "modelyard.dev/v1alpha1", "kind": kind, "metadata": {"name": _NAME}, "spec": spec,
    }  # fmt: skip


def _serves(kubectl: Kubectl, version: int) -> None:
    def served() -> bool:
        status: dict[str, Any] = kubectl.get("msvc", _NAME).get("status", {})
        if status.get("state") == "Failed":
            raise SystemExit(f"the Service failed: {status['error']}")
        return (status.get("version"), status.get("state")) == (version, "Succeeded")

    eventually(served, 300, f"version {version} of the Service")


def _first_at(load: Load, mark: str) -> float | None:
    """Unix time of the first answer with it."""
    times = [at for second in load.seconds() for text, at in second["first_at"].items() if mark in text]
    return min(times, default=None)
