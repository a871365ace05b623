"""The first response from zero beside a bare Deployment that kubectl scales, and warm requests beside none.

Both Deployments have the same image on the same node, and the same pod template. The times are taken on the
node, from the request or the call of kubectl until the response of a replica.
"""

from __future__ import annotations

import statistics
import subprocess
import uuid
from typing import Any, Final, NamedTuple

from tests.bench.progress import say
from tests.support.cluster import Kubectl, eventually
from tests.support.load import Load
from tests.support.node_requests import NODE
from tests.support.objects import constant_driver, image, manifest, service
from tests.support.status import wait_for_status

IMAGE: Final = "one"
SLEEPER: Final = "sleeper"
FLOOR: Final = "floor"
AWAKE: Final = "awake"
MIN_REPLICAS: Final = {SLEEPER: 0, AWAKE: 1}
WARM_ROUNDS: Final = 3
WARM_SECONDS: Final = 10
LIMIT_SECONDS: Final = 120

# The address, the key, and for the bare Deployment the namespace are arguments.
_SCORE: Final = """
score() {
  curl --silent --fail --max-time 100 --output /dev/null --header "Authorization: Bearer $2" --data '{}' \\
    "http://$1/score"
}
started=$EPOCHREALTIME
"""
FIRST_RESPONSE: Final = _SCORE + 'score "$@" && echo "$started $EPOCHREALTIME"'
SCALED_RESPONSE: Final = (
    _SCORE
    + """
kubectl --kubeconfig /etc/kubernetes/admin.conf --namespace "$3" scale deployment floor --replicas=1 >&2
for _ in $(seq 2000); do
  if score "$@"; then
    echo "$started $EPOCHREALTIME"
    exit
  fi
  sleep 0.02
done
exit 1
"""
)


class Figures(NamedTuple):
    """Seconds until the first response, and the ratio of the median times of warm requests."""

    wakes: list[float]
    floors: list[float]
    warm_ratio: float


def measure(cycles: int) -> Figures:
    """Measure in a new namespace, with some cycles from zero to one replica."""
    kubectl = Kubectl(f"bench-{uuid.uuid4().hex[:8]}")
    kubectl("create", "namespace", kubectl.namespace)
    try:
        _deploy(kubectl)
        wakes, floors = [], []
        for number in range(cycles):
            wakes.append(_wake(kubectl))
            floors.append(_scale(kubectl))
            say(f"cycle {number + 1}: {wakes[-1]:.2f} s by a request, {floors[-1]:.2f} s by kubectl")
        return Figures(wakes, floors, _warm_ratio(kubectl))
    finally:
        kubectl("delete", "namespace", kubectl.namespace, "--wait=false")


def percentile(values: list[float], percent: int) -> float:
    """Return the smallest value that a percentage of all values does not exceed."""
    return sorted(values)[max(0, -(-len(values) * percent // 100) - 1)]


def _deploy(kubectl: Kubectl) -> None:
    say("building the image")
    kubectl.apply(manifest(IMAGE, constant_driver("one")), image(IMAGE))
    for name, least in MIN_REPLICAS.items():
        scaler = {"minReplicas": least, "maxReplicas": 1, "cooldownPeriodInSeconds": 1}
        reserved = {"cpu": "50m", "memory": "64Mi"}
        kubectl.apply(service(name, IMAGE, autoScaler=scaler, containerResourceReservation=reserved))
    for name in MIN_REPLICAS:
        wait_for_status(kubectl, "msvc", name, 600, state="Succeeded")
    _deploy_floor(kubectl)


def _deploy_floor(kubectl: Kubectl) -> None:
    """Create a Deployment and a core Service that nothing but kubectl scales."""
    spec: dict[str, Any] = kubectl.get("deployment", SLEEPER)["spec"]
    labels = {"app": FLOOR}
    template = spec["template"] | {"metadata": {"labels": labels}}
    kubectl.apply(
        {
            "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": FLOOR},
            "spec": {"replicas": 0, "selector": {"matchLabels": labels}, "template": template},
        },
        {
            "apiVersion": "v1", "kind": "Service", "metadata": {"name": FLOOR},
            "spec": {"selector": labels, "ports": kubectl.get("service", SLEEPER)["spec"]["ports"]},
        },
    )  # fmt: skip


def _wake(kubectl: Kubectl) -> float:
    """Return the seconds of a request to a Service without a replica."""
    kubectl("wait", f"msvc/{SLEEPER}", "--for=condition=ScaledToZero", f"--timeout={LIMIT_SECONDS}s")
    _wait_without_pods(kubectl, f"modelyard.dev/service={SLEEPER}")
    return _seconds_on_node(FIRST_RESPONSE, *_address_and_key(kubectl, SLEEPER))


def _scale(kubectl: Kubectl) -> float:
    """Return the seconds from the call of kubectl until the first response of the bare Deployment."""
    kubectl("scale", "deployment", FLOOR, "--replicas=0")
    _wait_without_pods(kubectl, f"app={FLOOR}")
    return _seconds_on_node(SCALED_RESPONSE, *_address_and_key(kubectl, FLOOR), kubectl.namespace)


def _wait_without_pods(kubectl: Kubectl, selector: str) -> None:
    def are_gone() -> bool:
        return not kubectl("get", "pods", "--selector", selector, "--output", "name").strip()

    eventually(are_gone, LIMIT_SECONDS, f"no pod with {selector}")


def _address_and_key(kubectl: Kubectl, name: str) -> tuple[str, str]:
    address: str = kubectl.get("service", name)["spec"]["clusterIP"]
    return address, kubectl.secret(f"{SLEEPER}-keys")["primaryKey"]


def _seconds_on_node(script: str, *arguments: str) -> float:
    command = ["docker", "exec", NODE, "bash", "-c", script, "bash", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=True)
    started, ended = map(float, done.stdout.split())
    return ended - started


def _warm_ratio(kubectl: Kubectl) -> float:
    """Return the median time of requests to the woken Service, divided by that of one that never sleeps.

    Both get load in turn. Each request has a new connection, so it would reach the activator if the activator
    were still in the path.
    """
    _wake(kubectl)
    times: dict[str, list[float]] = {name: [] for name in MIN_REPLICAS}
    for _ in range(WARM_ROUNDS):
        for name, medians in times.items():
            with Load(kubectl, name, "{}", connections=1, new_connections=True) as load:
                load.wait(WARM_SECONDS)
                seconds = load.seconds()[-WARM_SECONDS:]
            medians += [second["p50_ms"] for second in seconds if second["ok"]]
    return statistics.median(times[SLEEPER]) / statistics.median(times[AWAKE])
