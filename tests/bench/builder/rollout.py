"""Time from `kubectl apply` of a changed model to the first answer of its version, under load."""

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
_PREFIX_BYTES: Final = 8  # the driver answers with the first bytes of its model
_DRIVER: Final = f"""
import os

def init():
    global prefix
    (model,) = os.scandir(os.environ["AZUREML_MODEL_DIR"])
    with open(model, "rb") as file:
        prefix = file.read()[:{_PREFIX_BYTES}].hex()

def run(body):
    return prefix
"""


@dataclass(frozen=True)
class Rollouts:
    """Median seconds of the rollouts, and the number of requests during all of them."""

    seconds: float
    answered: int
    failed: int


def measure_rollouts(kubectl: Kubectl, folder: Path) -> Rollouts:
    """Roll a Service with one replica out to new models. Each request has its own connection."""
    model, _ = _publish(folder)
    kubectl.apply(model, *_objects())
    _wait_until_serving(kubectl, 1)
    durations = []
    with Load(kubectl, _NAME, "{}", connections=2, per_second=50, seconds=600, new_connections=True) as load:
        for index in range(_ROUNDS):
            model, prefix = _publish(folder)
            applied = time.time()
            kubectl.apply(model)
            first = eventually(
                lambda prefix=prefix: _first_answer_time(load, prefix), 120, "an answer of the new version"
            )
            durations.append(first - applied)
            say(f"apply of a changed 100 MB model to the first answer of its version: {durations[-1]:.1f} s")
            _wait_until_serving(kubectl, index + 2)
            load.wait(10)  # until the old replica is gone
        answered, failed, errors = load.total()
    if failed:
        say(f"{failed} requests failed: {errors}")
    return Rollouts(statistics.median(durations), answered, failed)


def _publish(folder: Path) -> tuple[Json, str]:
    """Publish a new model. Returns its Model object, and the answer of its version."""
    content = os.urandom(_BYTES)
    file = folder / "model.bin"
    file.write_bytes(content)
    tag = uuid.uuid4().hex[:8]
    publish(file, "bench/model", tag)
    spec = {"url": f"oci://{registry_inside()}/bench/model:{tag}", "mimeType": "application/octet-stream"}
    return _object("Model", spec), content[:_PREFIX_BYTES].hex()


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


def _wait_until_serving(kubectl: Kubectl, version: int) -> None:
    def served() -> bool:
        status: dict[str, Any] = kubectl.get("msvc", _NAME).get("status", {})
        if status.get("state") == "Failed":
            raise SystemExit(f"the Service failed: {status['error']}")
        return (status.get("version"), status.get("state")) == (version, "Succeeded")

    eventually(served, 300, f"version {version} of the Service")


def _first_answer_time(load: Load, prefix: str) -> float | None:
    """Return the Unix time of the first answer that contains the prefix, None if there is none."""
    times = [at for second in load.seconds() for text, at in second["first_at"].items() if prefix in text]
    return min(times, default=None)
