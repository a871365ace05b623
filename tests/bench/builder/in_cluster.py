"""What users wait for: from `kubectl apply` to an image, and to the first answer of a new version.

The requirements carry a comment that no build had before, so the first build finds no layer of its own.
"""

from __future__ import annotations

import time
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from tests.bench.builder.first_answer import first_answers
from tests.bench.builder.roll import (
    Roll,
    roll,
)
from tests.bench.progress import say
from tests.demo.model import Trained
from tests.support.cluster import Json, Kubectl, eventually, example, registry_inside
from tests.support.publish import publish

NAMESPACE: Final = "bench-build"
NAME: Final = "diabetes"


@dataclass(frozen=True)
class Figures:
    """Seconds, from apply on."""

    cold: float
    changed_model: float
    reuse: float
    first_answer: float
    first_answer_bare: float
    roll: Roll


def measure(folder: Path) -> Figures:
    """Three builds, first answers, and rolls."""
    kubectl = Kubectl(NAMESPACE)
    kubectl("delete", "namespace", NAMESPACE, "--ignore-not-found", timeout=300)
    kubectl("create", "namespace", NAMESPACE)
    first, second = _published(folder, 1.0), _published(folder, 2.0)
    kubectl.apply(*_objects(first))
    cold = _built(kubectl, 1)
    say(f"first build, with scikit-learn: {cold:.1f} s")
    kubectl.patch("mdl", NAME, {"spec": {"url": second}})
    changed = _built(kubectl, 2)
    say(f"changed model: {changed:.1f} s")
    kubectl.patch("mdl", NAME, {"spec": {"url": first}})
    reuse = _built(kubectl, 3)
    say(f"reverted, so reused: {reuse:.1f} s")
    ours, bare = first_answers(kubectl, NAME)
    say(f"apply to first 200 with a warm image: {ours:.1f} s; a bare Deployment of it: {bare:.1f} s")
    rolled = roll(kubectl, folder)
    kubectl("delete", "namespace", NAMESPACE, timeout=300)
    return Figures(cold, changed, reuse, ours, bare, rolled)


def _built(kubectl: Kubectl, version: int) -> float:
    """Seconds until this version of the Image is in the registry."""
    started = time.monotonic()

    def status() -> dict[str, Any]:
        found = kubectl.get("img", NAME).get("status", {})
        if found.get("state") == "Failed":
            raise SystemExit(f"the build failed: {found['error']}")
        return found

    eventually(
        lambda: (status().get("version"), status().get("state")) == (version, "Succeeded"),
        900, f"version {version} of the image", every=0.2,
    )  # fmt: skip
    return time.monotonic() - started


def _published(folder: Path, alpha: float) -> str:
    """The URL of a model that was not there before."""
    tag = uuid.uuid4().hex[:8]
    publish(Trained(folder, alpha).file, "bench/model", tag)
    return f"oci://{registry_inside()}/bench/model:{tag}"


def _objects(url: str) -> list[Json]:
    """The example without its Service, with requirements of its own."""
    chosen = [item for item in example(registry_inside()) if item["kind"] != "Service"]
    for item in chosen:
        if item["kind"] == "Model":
            item["spec"]["url"] = url
        if item["kind"] == "Manifest":
            item["spec"]["targetRuntime"]["properties"]["pipRequirements"] += f"\n# {uuid.uuid4()}"
    return chosen
