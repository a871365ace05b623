"""`make demo`: from a trained model to an autoscaled URL that rolls without losing a request."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Final

import httpx
from tests.demo.model import Trained
from tests.demo.records import Records
from tests.support.cluster import (
    COLLECTING_EXAMPLE,
    EXAMPLE,
    KINDS,
    Json,
    Kubectl,
    eventually,
    example,
    port_forward,
    registry_inside,
)
from tests.support.load import Load, OutsideLoad
from tests.support.planes import Plane, present_plane
from tests.support.publish import publish

NAMESPACE: Final = "modelyard-demo"
NAME: Final = "diabetes"
REPOSITORY: Final = "models/diabetes"
# A shell script: the key of the Service, and one request with the rounded features of one patient.
CURL: Final = f"""\
KEY=$(kubectl -n {NAMESPACE} get secret {NAME}-keys -o jsonpath='{{.data.primaryKey}}' | base64 --decode)
curl --silent --show-error --fail --header "Authorization: Bearer $KEY" \\
  --data '{{"data": [[0.04, 0.05, 0.06, 0.02, -0.04, -0.03, -0.04, 0, 0.02, -0.02]]}}' \\
  --cacert"""
NEXT: Final = f"""
== try next: docs/README.md has all pages in the order of the tasks
  . .cluster/env
  kubectl -n {NAMESPACE} get modelyard                # all four, with id and state
  kubectl -n {NAMESPACE} describe msvc {NAME}      # `services` is the core kind, msvc is ours
  kubectl -n {NAMESPACE} get controllerrevisions      # every version and its operation
  kubectl -n {NAMESPACE} get configmap image-{NAME}-2-log --output jsonpath='{{.data.log}}'
  kubectl explain manifest.spec.targetRuntime
  kubectl -n {NAMESPACE} edit mdl {NAME}           # set the tag in spec.url back to 1: no build, only a roll
  make clean                                         # take everything down
"""
STARTED: Final = time.monotonic()


def say(text: str) -> None:
    """A line with the time since the start."""
    print(f"[{time.monotonic() - STARTED:6.1f} s] {text}", flush=True)


@contextmanager
def step(title: str) -> Iterator[None]:
    """A titled step."""
    print(f"\n== {title}", flush=True)
    yield


class States:
    """Prints each change of the four objects' states once."""

    def __init__(self, kubectl: Kubectl):
        self._kubectl = kubectl
        self._printed: dict[str, tuple[str, str]] = {}

    def show(self) -> dict[str, Json]:
        """Print what has changed; kind → status."""
        found = {item["kind"]: item.get("status", {}) for item in self._kubectl.list(KINDS)}
        for kind, status in found.items():
            ready = next((c for c in status.get("conditions", []) if c["type"] == "Ready"), {})
            now = (
                f"{status.get('id', '-')} {status.get('state', '-')}",
                status.get("progress") or ready.get("message", ""),
            )
            if self._printed.get(kind) != now:
                self._printed[kind] = now
                say(f"{kind:<9}{now[0]:<24}{now[1][:110]}")
        return found

    def until(self, done: Callable[[dict[str, Json]], bool], seconds: float, what: str) -> None:
        """Print changes until a condition is met; a failed operation ends the demo."""

        def probe() -> bool:
            found = self.show()
            failed = [status["error"] for status in found.values() if status.get("state") == "Failed"]
            if failed:
                sys.exit(f"the demo failed: {json.dumps(failed, indent=2)}")
            return done(found)

        eventually(probe, seconds, what)


def objects(folder: Path) -> list[Json]:
    """Return the objects of an example, with an autoscaler that the demo can load.

    A request of this model takes a millisecond, so that few requests are in flight. They take CPU time.
    """
    found = example(registry_inside(), folder=folder)
    (service,) = [item for item in found if item["kind"] == "Service"]
    service["spec"]["autoScaler"]["utilizationMetric"] = "CPU"
    return found


def serves(version: int) -> Callable[[dict[str, Json]], bool]:
    """Return whether the Service's version is rolled out."""

    def done(found: dict[str, Json]) -> bool:
        status = found.get("Service", {})
        return status.get("version") == version and status.get("state") == "Succeeded"

    return done


def train_and_publish(folder: Path, alpha: float, tag: str) -> Trained:
    """A model in the registry."""
    trained = Trained(folder, alpha)
    say(f"trained Ridge(alpha={alpha}) on {trained.rows} patients, R² {trained.r2:.3f}")
    publish(trained.file, REPOSITORY, tag)
    say(f"published {trained.file.name} as oci://{registry_inside()}/{REPOSITORY}:{tag}")
    return trained


def data_plane() -> Plane | None:
    """Return the data plane of `make cluster`, None for another cluster (CLUSTER=existing)."""
    return present_plane() if "HTTPS_GATEWAY" in os.environ else None


@contextmanager
def endpoint(kubectl: Kubectl) -> Iterator[httpx.Client]:
    """Yield a client of the public URL, or of a forwarded port without a data plane."""
    plane = data_plane()
    url = kubectl.get("msvc", NAME)["status"].get("url", "")
    address = nullcontext(url) if plane else port_forward(NAMESPACE, f"service/{NAME}", 80)
    with address as base_url, plane.client() if plane else httpx.Client(timeout=30) as client:
        client.base_url = base_url
        say(f"POST {base_url}/score")
        yield client


def load(kubectl: Kubectl, body: str, *, connections: int, per_second: float = 0) -> Load | OutsideLoad:
    """Return a load on the public URL, or on the core Service without a data plane."""
    plane = data_plane()
    if plane is None:
        return Load(kubectl, NAME, body, connections=connections, per_second=per_second)
    url = kubectl.get("msvc", NAME)["status"]["scoringUri"]
    key = kubectl.secret(f"{NAME}-keys")["primaryKey"]
    return OutsideLoad(url, key, body, plane, connections=connections, per_second=per_second)


def score(kubectl: Kubectl, trained: Trained) -> int:
    """One scored request from this machine, compared with the model itself; the number of answers."""
    key = kubectl.secret(f"{NAME}-keys")["primaryKey"]
    with endpoint(kubectl) as client:
        refused = client.post("/score", content=trained.body)
        say(f"without a key: {refused.status_code} {refused.headers.get('www-authenticate', '')}")
        answer = client.post("/score", content=trained.body, headers={"Authorization": f"Bearer {key}"})
    say(f"with the key: {answer.status_code} {answer.text}")
    if answer.status_code != 200 or answer.json() != trained.expected:
        sys.exit(f"the endpoint should have answered {trained.expected}")
    say("the same as the model's own prediction")
    return 1


def scale(kubectl: Kubectl, trained: Trained) -> int:
    """Load until the autoscaler adds replicas; the number of answers."""
    say("8 clients send requests without pauses; one replica reserves 0.11 CPU, the target is 70 % of it")
    say("metrics-server measures each 15 s, and the autoscaler looks as often: about half a minute")
    with load(kubectl, trained.body, connections=8) as requests:
        printed: list[object] = []

        def scaled() -> bool:
            hpa = kubectl.get("hpa", NAME)["status"]
            metrics = hpa.get("currentMetrics") or [{}]
            cpu = metrics[0].get("containerResource", {}).get("current", {}).get("averageUtilization")
            now = [hpa.get("currentReplicas"), hpa.get("desiredReplicas"), cpu]
            if now != printed:
                printed[:] = now
                rate = (requests.seconds() or [{"ok": 0}])[-1]["ok"]
                used = f"CPU {cpu} % of what is reserved; replicas {now[0]} → {now[1]}"
                say(f"{rate} requests/s; {used if cpu is not None else 'its CPU is not measured yet'}")
            return kubectl.get("msvc", NAME)["status"].get("readyReplicas", 0) > 1

        eventually(scaled, 180, "a second replica", every=2)
        say(f"{kubectl.get('msvc', NAME)['status']['readyReplicas']} replicas are ready")
        answered = requests.total()[0]
    say(f"all share the {os.cpu_count()} CPUs of this machine, so requests/s may fall for a while:")
    say("pods that start take CPU time from those that serve; on further nodes they would add to it")
    return answered


def roll(kubectl: Kubectl, states: States, folder: Path, before: Trained) -> int:
    """Change the model in place while requests go on; the number of answers."""
    after = train_and_publish(folder, alpha=0.1, tag="2")
    with load(kubectl, before.body, connections=4, per_second=100) as requests:
        kubectl.patch("model", NAME, {"spec": {"url": f"oci://{registry_inside()}/{REPOSITORY}:2"}})
        say("patched spec.url of the Model; 100 requests/s go on, and the old version serves until the end")
        states.until(serves(2), 600, "version 2")
        time.sleep(3)
        ok, failed, errors = requests.total()
        say(f"{ok} requests during the build and the roll, {failed} failed {errors or ''}")
        if failed:
            sys.exit("no request should have failed")
    return ok + score(kubectl, after)


def curl(kubectl: Kubectl, plane: Plane) -> None:
    """Send a request to the public URL with curl, and print the commands for a reader to repeat."""
    script = f"{CURL} {os.path.relpath(plane.ca)} {kubectl.get('msvc', NAME)['status']['scoringUri']}"
    print(script, flush=True)
    sent = subprocess.run(["bash", "-c", script], capture_output=True, text=True, timeout=60, check=False)
    print(sent.stdout or sent.stderr, flush=True)
    if sent.returncode:
        sys.exit(f"curl should have had a response, but ended with {sent.returncode}")


def main() -> None:
    """The whole demo."""
    os.environ.setdefault("KUBECONFIG", ".cluster/kubeconfig")
    folder = Path(tempfile.mkdtemp(prefix="modelyard-demo-"))
    kubectl = Kubectl(NAMESPACE)
    states = States(kubectl)
    with step("a clean namespace"):
        kubectl("delete", "namespace", NAMESPACE, "--ignore-not-found", timeout=180)
        kubectl("create", "namespace", NAMESPACE)
    with step("an object store for inputs and predictions"):
        records = Records.start(kubectl, say)
    with step("train a model and publish its file"):
        trained = train_and_publish(folder, alpha=1.0, tag="1")
    with step("kubectl apply of a Model, a Manifest, an Image and a Service"):
        kubectl.apply(*objects(COLLECTING_EXAMPLE if records else EXAMPLE))
        states.until(serves(1), 900, "version 1")
    with step("score"):
        answered = score(kubectl, trained)
    with step("raise the load until the autoscaler adds replicas"):
        answered += scale(kubectl, trained)
    with step("a new model in place, under load"):
        answered += roll(kubectl, states, folder, trained)
    if records:
        with step("the inputs and predictions of all requests, in the object store"):
            records.show(answered)
    if plane := data_plane():
        with step("the same URL with curl: --cacert has the CA of the certificate"):
            curl(kubectl, plane)
    print(NEXT, flush=True)


if __name__ == "__main__":
    main()
