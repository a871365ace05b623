"""Requests to Services that go to 0 and back, while activator, scaler, operator and replicas are killed.

Each request has a number. Its driver reports the number before it responds, so requests that ran twice, or
ran without a response, are known. A request that was in a replica when the replica crashed is counted apart.
"""

from __future__ import annotations

import time
import uuid
from collections import Counter
from typing import Any, Final, NamedTuple

from tests.bench.progress import say
from tests.bench.scaling.kills import Crash, Kills, summary
from tests.bench.scaling.program_pod import POD, lines, start
from tests.support.cluster import Json, Kubectl, eventually
from tests.support.objects import image, manifest, service
from tests.support.status import history_of_all, wait_for_status

IMAGE: Final = "numbered"
SERVICES: Final = 8
PLACES: Final = 8  # of a replica
CLIENTS: Final = 8  # of each Service: one replica is full, so the autoscaler adds another
MAX_REPLICAS: Final = 2
LOAD_SECONDS: Final = (3.0, 35.0)
PAUSE_SECONDS: Final = (2.0, 14.0)
"""Time without requests. The shortest ones end while a Service is on its way to 0."""
LIMIT_SECONDS: Final = 3600
CRASH_SECONDS: Final = 10.0
"""Time after a crash in which its requests fail: the activator sees the end of a connection late."""
_DRIVER: Final = """\
import socket
import time

THREAD_SAFE = True


def init():
    pass


def run(body):
    with socket.create_connection(("{ledger}", 9000), 10) as ledger:
        ledger.sendall(body.encode() + b"\\n")
        if ledger.recv(2) != b"ok":
            raise OSError("the run is not counted")
    time.sleep(0.2)
    return int(body)
"""


class Figures(NamedTuple):
    """The figures of all requests."""

    cycles: int
    """Changes from 0 replicas to 1."""
    most_replicas: int
    kills: dict[str, int]
    total: dict[str, Any]
    """The last line of the program that sends the requests."""
    crashed: int
    """Requests that failed because their replica crashed."""
    again: int
    """Attempts without a connection, or with the response 503, which were repeated."""
    again_by_crashes: int
    """Repeated attempts that a crash explains."""

    def line(self) -> str:
        """Return all figures."""
        lost = self.total["sent"] - self.total["answered"] - self.crashed
        twice = self.total["answered_twice"] + self.total["run_twice"]
        return (
            f"zero_n_cycles={self.cycles} requests={self.total['sent']} kills={sum(self.kills.values())}"
            f" killed={summary(self.kills)} most_replicas={self.most_replicas} lost={lost}"
            f" answered_twice={twice} broken_by_crashes={self.crashed}"
            f" sent_again={self.again} of_them_by_crashes={self.again_by_crashes}"
        )


def measure(cycles: int, requests: int, seed: int = 1) -> Figures:
    """Measure in a new namespace until there were as many cycles and requests."""
    kubectl = Kubectl(f"bench-{uuid.uuid4().hex[:8]}")
    kubectl("create", "namespace", kubectl.namespace)
    try:
        names = [f"cycle-{number}" for number in range(SERVICES)]
        _deploy(kubectl, names)
        template = "{.metadata.name} {.spec.replicas}"
        with history_of_all(kubectl, "deployments", template) as changes:
            start(
                kubectl,
                "numbered_requests.py",
                names,
                CLIENTS=CLIENTS,
                LOAD=" ".join(map(str, LOAD_SECONDS)),
                PAUSE=" ".join(map(str, PAUSE_SECONDS)),
                REQUESTS=requests,
                SEED=seed,
            )
            with Kills(kubectl, seed) as kills:
                _wait_for_cycles(kubectl, changes, cycles, requests)
            kubectl("exec", POD, "--", "touch", "/tmp/enough")
            eventually(lambda: lines(kubectl, "total"), 300, "the end of the last requests", every=2)
        total = lines(kubectl, "total")[-1]
        crashed, _ = _told(kubectl, "failure", kills.crashes)
        again_by_crashes, again = _told(kubectl, "again", kills.crashes)
        found, most = _cycles(changes)
        return Figures(found, most, kills.counts, total, crashed, again + again_by_crashes, again_by_crashes)
    finally:
        kubectl("delete", "namespace", kubectl.namespace, "--wait=false")


def _deploy(kubectl: Kubectl, names: list[str]) -> None:
    selector = {"app": POD}
    ports = [{"port": 9000}]
    kubectl.apply(
        {
            "apiVersion": "v1", "kind": "Service", "metadata": {"name": POD},
            "spec": {"selector": selector, "ports": ports},
        }
    )  # fmt: skip
    ledger = kubectl.get("service", POD)["spec"]["clusterIP"]
    say("building the image")
    kubectl.apply(manifest(IMAGE, _DRIVER.format(ledger=ledger)), image(IMAGE))
    for name in names:
        kubectl.apply(
            service(
                name,
                IMAGE,
                autoScaler={
                    "minReplicas": 0,
                    "maxReplicas": MAX_REPLICAS,
                    "cooldownPeriodInSeconds": 1,
                    "scaleDownStabilizationSeconds": 0,
                },
                maxConcurrentRequestsPerContainer=PLACES,
                containerResourceReservation={"cpu": "10m", "memory": "64Mi"},
            )
        )
    for name in names:
        wait_for_status(kubectl, "msvc", name, 600, state="Succeeded")
    say(f"{len(names)} Services are ready")


def _wait_for_cycles(kubectl: Kubectl, changes: list[str], cycles: int, requests: int) -> None:
    end = time.monotonic() + LIMIT_SECONDS
    while time.monotonic() < end:
        time.sleep(10)
        found, most = _cycles(changes)
        progress = (lines(kubectl, "progress") or [{"sent": 0}])[-1]
        say(f"cycles {found}, most replicas {most}, {progress}, failures {len(lines(kubectl, 'failure'))}")
        if found >= cycles and progress["sent"] >= requests:
            return
    raise SystemExit(f"only {found} of {cycles} cycles after {LIMIT_SECONDS} s")


def _cycles(changes: list[str]) -> tuple[int, int]:
    """Return the changes from 0 replicas, and the most replicas, of lines with a name and a number."""
    last: dict[str, int] = {}
    cycles: Counter[str] = Counter()
    most = 0
    for name, number in (line.split() for line in list(changes) if " " in line):
        replicas = int(number)
        cycles[name] += last.get(name) == 0 and replicas > 0
        last[name] = replicas
        most = max(most, replicas)
    return cycles.total(), most


def _told(kubectl: Kubectl, kind: str, crashes: list[Crash]) -> tuple[int, int]:
    """Return the requests of a kind that a crash explains, and the number of others, which are printed."""
    found = lines(kubectl, kind)
    others = [one for one in found if not _is_explained(one, crashes)]
    for one in others:
        say(f"{kind} without a crash: {one}")
    return len(found) - len(others), len(others)


def _is_explained(failure: Json, crashes: list[Crash]) -> bool:
    """Return whether a replica of the Service crashed just before."""
    return any(
        crash.service == failure["service"] and crash.began < failure["at"] < crash.ended + CRASH_SECONDS
        for crash in crashes
    )
