"""Time from apply to the first answer: a Service, beside a bare Deployment and core Service of its image."""

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
from modelyard.resources.pod_template import ScoringImage
from modelyard.settings import ScoringSettings

_ROUNDS: Final = 3
_SPEC: Final = {"numReplicas": 1, "containerResourceReservation": {"cpu": "100m", "memory": "128Mi"}}


def first_answers(kubectl: Kubectl, image: str) -> tuple[float, float]:
    """Return the median seconds of a Service and of a bare Deployment, measured in turn."""
    location = kubectl.get("img", image)["status"]["imageLocation"]
    services, bare = [], []
    for index in range(_ROUNDS):
        name = f"service-{index}"
        services.append(_seconds(kubectl, name, [_service(name, image)], kind="msvc"))
        bare.append(_seconds(kubectl, f"bare-{index}", _bare(f"bare-{index}", location), kind="deployment"))
    return statistics.median(services), statistics.median(bare)


def _service(name: str, image: str) -> Json:
    return {
        "apiVersion": "modelyard.dev/v1alpha1",
        "kind": "Service",
        "metadata": {"name": name},
        "spec": {"imageId": image, **_SPEC},
    }


def _bare(name: str, location: str) -> list[Json]:
    """Return the Deployment, the core Service and the Secret that the operator would create for a Service."""
    owner = Owner("Service", name, "")
    spec = ServiceSpec.model_validate({"imageId": "bare", **_SPEC})
    objects = [
        serving.keys(owner) | {"data": missing_keys({})},
        serving.deployment(owner, spec, ScoringImage(location), ScoringSettings()),
        serving.core_service(owner),
    ]
    for item in objects:
        del item["metadata"]["ownerReferences"]
        item["metadata"]["labels"] = {"bench": "bare"}
    return objects


def _seconds(kubectl: Kubectl, name: str, objects: list[Json], kind: str) -> float:
    started = time.monotonic()
    kubectl.apply(*objects)
    eventually(
        lambda: (kubectl.get_or_none("deployment", name) or {}).get("status", {}).get("availableReplicas"),
        120, f"a replica of {name}", every=0.1,
    )  # fmt: skip
    with port_forward(kubectl.namespace, f"service/{name}", 80) as url:
        httpx.get(f"{url}/", timeout=30).raise_for_status()
    seconds = time.monotonic() - started
    kubectl("delete", kind, name, "--wait=false")
    return seconds
