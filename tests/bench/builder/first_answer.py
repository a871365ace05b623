"""From apply to the first answer: a Service beside a bare Deployment and core Service of the same image."""

from __future__ import annotations

import statistics
import time
from typing import Final

import httpx
from tests.support.cluster import Json, Kubectl, eventually, port_forward

from modelyard.api.access_keys import missing_keys
from modelyard.api.owners import Owner
from modelyard.api.service import ServiceSpec
from modelyard.resources import serving
from modelyard.settings import ScoringSettings

_ROUNDS: Final = 3
_SPEC: Final = {"numReplicas": 1, "containerResourceReservation": {"cpu": "100m", "memory": "128Mi"}}


def first_answers(kubectl: Kubectl, image: str) -> tuple[float, float]:
    """Medians of seconds: (through a Service of ours, through a bare Deployment), in turn."""
    location = kubectl.get("img", image)["status"]["imageLocation"]
    ours, bare = [], []
    for index in range(_ROUNDS):
        ours.append(_seconds(kubectl, f"ours-{index}", [_service(f"ours-{index}", image)], kind="msvc"))
        bare.append(_seconds(kubectl, f"bare-{index}", _bare(f"bare-{index}", location), kind="deployment"))
    return statistics.median(ours), statistics.median(bare)


def _service(name: str, image: str) -> Json:
    return {
        "apiVersion": "modelyard.dev/v1alpha1",
        "kind": "Service",
        "metadata": {"name": name},
        "spec": {"imageId": image, **_SPEC},
    }


def _bare(name: str, location: str) -> list[Json]:
    """The same Deployment and core Service, written by hand, with a Secret that is there already."""
    owner = Owner("Service", name, "")
    spec = ServiceSpec.model_validate({"imageId": "bare", **_SPEC})
    made = [
        serving.keys(owner) | {"data": missing_keys({})},
        serving.deployment(owner, spec, location, ScoringSettings()),
        serving.core_service(owner),
    ]
    for item in made:
        del item["metadata"]["ownerReferences"]
        item["metadata"]["labels"] = {"bench": "bare"}
    return made


def _seconds(kubectl: Kubectl, name: str, objects: list[Json], kind: str) -> float:
    started = time.monotonic()
    kubectl.apply(*objects)
    eventually(
        lambda: (kubectl.find("deployment", name) or {}).get("status", {}).get("availableReplicas"),
        120, f"a replica of {name}", every=0.1,
    )  # fmt: skip
    with port_forward(kubectl.namespace, f"service/{name}", 80) as url:
        httpx.get(f"{url}/", timeout=30).raise_for_status()
    seconds = time.monotonic() - started
    kubectl("delete", kind, name, "--wait=false")
    return seconds
