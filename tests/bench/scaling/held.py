"""Many requests that the activator holds, while their Services have no ready replica.

No node has room for the replicas of the Services. Halfway through the time for which a request is held, the
first Services get room, so that their requests are answered. All others are refused at their deadline.
"""

from __future__ import annotations

import time
import uuid
from typing import Any, Final, NamedTuple

from tests.bench.progress import say
from tests.bench.scaling.program_pod import lines, start
from tests.support.cluster import OPERATOR_NAMESPACE, Json, Kubectl, eventually
from tests.support.objects import constant_driver, image, manifest, service
from tests.support.operator import samples
from tests.support.status import wait_for_status

from modelyard.kube.quantity import parse_quantity

IMAGE: Final = "held"
SERVICES: Final = 5
LATE: Final = 2
"""Services that get room for their replicas."""
ROOM: Final = {"cpu": "50m", "memory": "64Mi"}
NO_ROOM: Final = {"cpu": "500", "memory": "64Mi"}
LATE_AFTER: Final = 0.5  # of wakeSeconds
LIMIT_SECONDS: Final = 400
ACTIVATOR: Final = "modelyard-activator"
_PEAKS: Final = (
    "/sys/fs/cgroup/memory.peak",
    "/sys/fs/cgroup/memory/memory.max_usage_in_bytes",  # cgroup v1, without the buffers of connections
)
_MEBI: Final = 2**20


class Figures(NamedTuple):
    """The responses, and the memory of the activator."""

    most_held: int
    total: dict[str, Any]
    """The last line of the program that sends the requests."""
    peak_mib: int
    """Largest memory of a pod of the activator."""
    limit_mib: int
    restarts: int

    def line(self) -> str:
        """Return all figures."""
        answers = self.total["answers"]
        return (
            f"most_held={self.most_held} held_answered={answers.get('200', 0)}"
            f" held_refused={answers.get('503', 0)} held_bad={sum(self.total['bad'].values())}"
            f" held_slowest_seconds={self.total['slowest']:.1f} activator_peak_mib={self.peak_mib}"
            f" activator_limit_mib={self.limit_mib} activator_restarts={self.restarts}"
        )


def measure(requests: int) -> Figures:
    """Measure in a new namespace, with new pods of the activator."""
    kubectl, release = Kubectl(f"bench-{uuid.uuid4().hex[:8]}"), Kubectl(OPERATOR_NAMESPACE)
    kubectl("create", "namespace", kubectl.namespace)
    try:
        names = [f"held-{number}" for number in range(SERVICES)]
        _deploy(kubectl, names)
        _restart_activator(release)
        for name in names:
            eventually(lambda name=name: _is_open(kubectl, name), 60, f"the activator answers for {name}")
        wake_seconds = _wake_seconds(release)
        start(kubectl, "many_requests.py", names, REQUESTS=requests)
        most = _most_held(kubectl, release, time.monotonic() + wake_seconds * LATE_AFTER)
        say(f"{most} requests are held, and the first {LATE} Services get room")
        for name in names[:LATE]:
            kubectl.patch("msvc", name, {"spec": {"containerResourceReservation": ROOM}})
        eventually(lambda: lines(kubectl, "total"), LIMIT_SECONDS, "the end of the last request", every=2)
        total = lines(kubectl, "total")[-1]
        say(f"responses: {total}")
        pods = _activators(release)
        return Figures(
            most,
            total,
            max(_peak(release, pod) for pod in pods) // _MEBI,
            _limit(pods[0]) // _MEBI,
            sum(status["restartCount"] for pod in pods for status in pod["status"]["containerStatuses"]),
        )
    finally:
        kubectl("delete", "namespace", kubectl.namespace, "--wait=false")


def _deploy(kubectl: Kubectl, names: list[str]) -> None:
    say("building the image")
    kubectl.apply(manifest(IMAGE, constant_driver("late")), image(IMAGE))
    wait_for_status(kubectl, "img", IMAGE, 600, state="Succeeded")
    scaler = {"minReplicas": 0, "maxReplicas": 1}
    for name in names:
        kubectl.apply(service(name, IMAGE, autoScaler=scaler, containerResourceReservation=NO_ROOM))
    for name in names:
        eventually(lambda name=name: kubectl.get_or_none("deployment", name), 120, f"Deployment of {name}")


def _restart_activator(release: Kubectl) -> None:
    """Replace the pods, so that their peak of memory begins again."""
    release("rollout", "restart", f"deployment/{ACTIVATOR}")
    release("rollout", "status", f"deployment/{ACTIVATOR}", "--timeout=120s", timeout=130)


def _activators(release: Kubectl) -> list[Json]:
    return release.ready_pods("app.kubernetes.io/name=modelyard-activator")


def _is_open(kubectl: Kubectl, name: str) -> bool:
    """Return whether each endpoint of the activator's EndpointSlice is ready."""
    found = kubectl.get_or_none("endpointslice", f"{name}-activator") or {}
    endpoints = found.get("endpoints") or []
    return len(endpoints) > 0 and all(endpoint["conditions"]["ready"] for endpoint in endpoints)


def _wake_seconds(release: Kubectl) -> float:
    settings = release.get("configmap", ACTIVATOR)["data"]["settings.yaml"]
    (line,) = (line for line in settings.splitlines() if line.startswith("wakeSeconds:"))
    return float(line.partition(":")[2])


def _most_held(kubectl: Kubectl, release: Kubectl, end: float) -> int:
    """Return the most requests that were held at the same time until the end."""
    most = 0
    while time.monotonic() < end and not lines(kubectl, "total"):
        present = sum(_held(release, pod) for pod in _activators(release))
        if present > most:
            most = present
            say(f"{most} requests are held")
        time.sleep(1)
    return most


def _held(release: Kubectl, pod: Json) -> int:
    name = pod["metadata"]["name"]
    path = f"/api/v1/namespaces/{release.namespace}/pods/{name}:8080/proxy/metrics"
    return int(samples(release("get", "--raw", path))["modelyard_activator_held", frozenset()])


def _peak(release: Kubectl, pod: Json) -> int:
    command = f"cat {' 2>/dev/null || cat '.join(_PEAKS)}"
    return int(release("exec", pod["metadata"]["name"], "--", "sh", "-c", command))


def _limit(pod: Json) -> int:
    return int(parse_quantity(pod["spec"]["containers"][0]["resources"]["limits"]["memory"]) or 0)
