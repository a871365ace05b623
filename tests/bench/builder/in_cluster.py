"""Times in the cluster: from `kubectl apply` to an image, and to the first answer of a new version.

The requirements contain a unique comment, so that the first build finds no cached environment.
"""

from __future__ import annotations

import time
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from tests.bench.builder import walls
from tests.bench.builder.first_answer import first_answers
from tests.bench.builder.rollout import (
    Rollouts,
    measure_rollouts,
)
from tests.bench.builder.walls import Walls
from tests.bench.progress import say
from tests.demo.model import Trained
from tests.support.cluster import Json, Kubectl, eventually, example, registry_inside
from tests.support.publish import publish

NAMESPACE: Final = "bench-build"
NAME: Final = "diabetes"


@dataclass(frozen=True)
class Figures:
    """Seconds from `kubectl apply`, and the rollouts."""

    cold: float
    changed_model: float
    reuse: float
    first_answer: float
    first_answer_bare: float
    walls: Walls
    rollout: Rollouts


def measure_walls(folder: Path) -> Walls:
    """Measure only the price of the second container."""
    kubectl = _new_namespace()
    kubectl.apply(*_objects(_publish(folder, 1.0)))
    say(f"first build, with scikit-learn: {_wait_for_version(kubectl, 1):.1f} s")
    found = walls.measure(f"{NAMESPACE}/{NAME}")
    kubectl("delete", "namespace", NAMESPACE, timeout=300)
    return found


def _new_namespace() -> Kubectl:
    kubectl = Kubectl(NAMESPACE)
    kubectl("delete", "namespace", NAMESPACE, "--ignore-not-found", timeout=300)
    kubectl("create", "namespace", NAMESPACE)
    return kubectl


def measure(folder: Path) -> Figures:
    """Measure three builds, first answers and rollouts."""
    kubectl = _new_namespace()
    first, second = _publish(folder, 1.0), _publish(folder, 2.0)
    kubectl.apply(*_objects(first))
    cold = _wait_for_version(kubectl, 1)
    say(f"first build, with scikit-learn: {cold:.1f} s")
    kubectl.patch("mdl", NAME, {"spec": {"url": second}})
    changed = _wait_for_version(kubectl, 2)
    say(f"changed model: {changed:.1f} s")
    kubectl.patch("mdl", NAME, {"spec": {"url": first}})
    reuse = _wait_for_version(kubectl, 3)
    say(f"reverted, so reused: {reuse:.1f} s")
    price = walls.measure(f"{NAMESPACE}/{NAME}")
    service, bare = first_answers(kubectl, NAME)
    say(f"apply to first 200 with a warm image: {service:.1f} s; a bare Deployment of it: {bare:.1f} s")
    rollouts = measure_rollouts(kubectl, folder)
    kubectl("delete", "namespace", NAMESPACE, timeout=300)
    return Figures(cold, changed, reuse, service, bare, price, rollouts)


def _wait_for_version(kubectl: Kubectl, version: int) -> float:
    """Wait until a version of the Image is in the registry, and return the seconds."""
    started = time.monotonic()

    def status() -> dict[str, Any]:
        current = kubectl.get("img", NAME).get("status", {})
        if current.get("state") == "Failed":
            raise SystemExit(f"the build failed: {current['error']}")
        return current

    eventually(
        lambda: (status().get("version"), status().get("state")) == (version, "Succeeded"),
        900, f"version {version} of the image", every=0.2,
    )  # fmt: skip
    return time.monotonic() - started


def _publish(folder: Path, alpha: float) -> str:
    """Publish a model with a new tag, and return its URL."""
    tag = uuid.uuid4().hex[:8]
    publish(Trained(folder, alpha).file, "bench/model", tag)
    return f"oci://{registry_inside()}/bench/model:{tag}"


def _objects(url: str) -> list[Json]:
    """Return the objects of the example without its Service, with unique requirements."""
    objects = [item for item in example(registry_inside()) if item["kind"] != "Service"]
    for item in objects:
        if item["kind"] == "Model":
            item["spec"]["url"] = url
        if item["kind"] == "Manifest":
            item["spec"]["targetRuntime"]["properties"]["pipRequirements"] += f"\n# {uuid.uuid4()}"
    return objects
