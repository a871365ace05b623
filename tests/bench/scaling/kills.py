"""Kills of the parts of scale to zero, in turn and at random times: activator, scaler, operator, replicas.

Pods are deleted with their grace, as a drain or a rollout does, and a part only while all its pods are ready.
A `crash` kills the processes of a replica without any grace.
"""

from __future__ import annotations

import contextlib
import random
import threading
import time
from collections import Counter
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Final, NamedTuple

from tests.bench.progress import say
from tests.support.cluster import OPERATOR_NAMESPACE, Json, Kubectl
from tests.support.faults import crash

DEPLOYMENTS: Final = {
    "activator": "modelyard-activator",
    "scaler": "modelyard-scaler",
    "operator": "modelyard",
}
KINDS: Final = ("activator", "replica", "scaler", "replica", "operator", "replica", "crash")
"""Kinds of kills, in the order of their turns."""
PAUSE_SECONDS: Final = (2.0, 8.0)
_REPLICAS: Final = "modelyard.dev/service"


class Crash(NamedTuple):
    """A replica that was killed without grace, and the Unix times before and after."""

    service: str
    began: float
    ended: float


class Kills:
    """Kills parts in a thread during the context, and counts the kills by kind.

    Leaving the context raises the error of a kill that failed.
    """

    def __init__(self, kubectl: Kubectl, seed: int):
        self.counts = dict.fromkeys(KINDS, 0)
        self.crashes: list[Crash] = []
        self._kubectl = kubectl
        self._release = Kubectl(OPERATOR_NAMESPACE)
        self._random = random.Random(seed)
        self._is_over = threading.Event()
        self._pool = ThreadPoolExecutor(1)
        self._kills: Future[None] | None = None

    def __enter__(self) -> Kills:
        self._kills = self._pool.submit(self._run)
        return self

    def __exit__(self, *_: object) -> None:
        self._is_over.set()
        self._pool.shutdown()
        if self._kills:
            self._kills.result()

    def _run(self) -> None:
        turn = 0
        while not self._is_over.wait(self._random.uniform(*PAUSE_SECONDS)):
            kind = KINDS[turn % len(KINDS)]
            # A pod may end between the list and the kill.
            with contextlib.suppress(RuntimeError):
                if name := self._kill(kind):
                    self.counts[kind] += 1
                    turn += 1
                    say(f"kill {sum(self.counts.values())}: {kind} {name}")

    def _kill(self, kind: str) -> str:
        """Kill one part; return its name, empty if there is none that may be killed."""
        if kind in DEPLOYMENTS:
            return self._delete(self._release, self._whole(DEPLOYMENTS[kind]))
        pods = self._kubectl.ready_pods(_REPLICAS)
        if kind == "replica":
            return self._delete(self._kubectl, pods)
        return self._crash(pods)

    def _whole(self, deployment: str) -> list[Json]:
        """Return the pods of a Deployment, none if one of them is not ready."""
        found = self._release.get("deployment", deployment)
        labels = found["spec"]["selector"]["matchLabels"]
        pods = self._release.ready_pods(",".join(f"{name}={value}" for name, value in labels.items()))
        return pods if len(pods) >= found["spec"]["replicas"] else []

    def _delete(self, kubectl: Kubectl, pods: list[Json]) -> str:
        if not pods:
            return ""
        name: str = self._random.choice(pods)["metadata"]["name"]
        kubectl("delete", "pod", name, "--wait=false")
        return name

    def _crash(self, pods: list[Json]) -> str:
        if not pods:
            return ""
        pod = self._random.choice(pods)
        began = time.time()
        crash(self._kubectl, pod)
        service: str = pod["metadata"]["labels"][_REPLICAS]
        self.crashes.append(Crash(service, began, time.time()))
        return str(pod["metadata"]["name"])


def summary(counts: dict[str, int]) -> str:
    """Return kinds and counts as in `activator:3,replica:5`."""
    return ",".join(f"{kind}:{count}" for kind, count in Counter(counts).items())
