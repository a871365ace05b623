"""The price of the second container of a build's pod: changed models with one container and two, in turns.

The template is a finished Job of the operator, whose environment layer is in the registry. Each run has a
model of its own and a tag of its own. The time is that from the creation of the Job to the last line of the
build's log. The nodes run on this machine, so both have one clock.
"""

from __future__ import annotations

import base64
import gzip
import json
import secrets
import time
from copy import deepcopy
from dataclasses import dataclass
from datetime import datetime
from statistics import median
from typing import Final

from tests.bench.progress import say
from tests.support.cluster import Json, Kubectl, eventually

from modelyard.contract.build_pod import CONTAINER, PACKAGES_CONTAINER, REQUEST_FILE, BuildVariable

NAMESPACE: Final = "modelyard-system"
ROUNDS: Final = 9
MODEL_BYTES: Final = 64 * 1024
_SECONDS: Final = 120
_OF_CONTAINER: Final = {str(BuildVariable.PACKAGES), str(BuildVariable.PACKAGES_SOCKET)}
_VOLUMES: Final = ("packages", "packages-tmp", "handoff")


@dataclass(frozen=True)
class Walls:
    """Medians of seconds of builds in turns."""

    one_container: float
    two_containers: float
    difference: float
    """Median of the differences of neighbouring builds."""


def measure(image: str) -> Walls:
    """Build changed models of an Image, `namespace/name`, whose latest build has just ended."""
    kubectl = Kubectl(NAMESPACE)
    template = _latest_job(kubectl, image)
    pairs: list[tuple[float, float]] = []
    for number in range(ROUNDS + 1):
        order = (True, False) if number % 2 else (False, True)
        seconds = {walls: _build(kubectl, template, has_walls=walls) for walls in order}
        if number:  # the first pair warms up
            pairs.append((seconds[False], seconds[True]))
            say(f"one container {seconds[False]:.2f} s, two containers {seconds[True]:.2f} s")
    one, two = ([pair[place] for pair in pairs] for place in (0, 1))
    return Walls(median(one), median(two), median(two - one for one, two in pairs))


def _latest_job(kubectl: Kubectl, image: str) -> Json:
    jobs = [
        job
        for job in kubectl.list("jobs", "app.kubernetes.io/component=build")
        if job["metadata"].get("annotations", {}).get("modelyard.dev/image") == image
    ]
    if not jobs:
        raise SystemExit(f"no Job of a build of {image} is left: build it first")
    latest: Json = max(jobs, key=lambda job: job["metadata"]["creationTimestamp"])
    return latest


def _build(kubectl: Kubectl, template: Json, *, has_walls: bool) -> float:
    name = f"bench-walls-{secrets.token_hex(4)}"
    own = template["metadata"]["name"]
    request = _changed_request(kubectl.get("secret", own)["data"][REQUEST_FILE], name)
    spec = deepcopy(template["spec"]["template"]["spec"])
    for volume in spec["volumes"]:
        if volume.get("secret", {}).get("secretName") == own:
            volume["secret"]["secretName"] = name
    if not has_walls:
        _remove_walls(spec)
    secret = {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": name},
        "data": {REQUEST_FILE: request},
    }
    job = {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": name},
        "spec": {"backoffLimit": 0, "template": {"spec": spec}},
    }
    try:
        kubectl.apply(secret)
        started = time.time()
        kubectl.apply(job)
        eventually(lambda: _has_ended(kubectl, name), _SECONDS, f"the build {name}", every=0.2)
        line = kubectl("logs", f"job/{name}", "-c", CONTAINER, "--timestamps", "--tail=1")
        return datetime.fromisoformat(line.split()[0]).timestamp() - started
    finally:
        kubectl("delete", "job,secret", name, "--ignore-not-found", "--wait=false")


def _has_ended(kubectl: Kubectl, name: str) -> bool:
    status = kubectl.get("job", name).get("status", {})
    if status.get("failed"):
        raise SystemExit(f"the build failed: {kubectl('logs', f'job/{name}', '-c', CONTAINER)}")
    return bool(status.get("succeeded"))


def _changed_request(encoded: str, tag: str) -> str:
    """Return a request with a model that no build has seen."""
    request = json.loads(gzip.decompress(base64.b64decode(encoded)))
    weights = base64.b64encode(secrets.token_bytes(MODEL_BYTES)).decode()
    request["tag"] = tag
    request["models"] = [{"name": "bench", "version": 1, "source": {"url": f"data:;base64,{weights}"}}]
    return base64.b64encode(gzip.compress(json.dumps(request).encode())).decode()


def _remove_walls(spec: Json) -> None:
    """Leave one container, which installs packages itself."""
    spec["containers"] = [item for item in spec["containers"] if item["name"] != PACKAGES_CONTAINER]
    spec["volumes"] = [volume for volume in spec["volumes"] if volume["name"] not in _VOLUMES]
    (build,) = spec["containers"]
    build["env"] = [entry for entry in build["env"] if entry["name"] not in _OF_CONTAINER]
    build["volumeMounts"] = [mount for mount in build["volumeMounts"] if mount["name"] not in _VOLUMES]
