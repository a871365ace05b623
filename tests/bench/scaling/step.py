"""A step of load on a driver that waits, by requests and by CPU, then a steady load below the target.

Two Services of the same image get the same load from pods. Each client sends its next request after the
response, so that the running and waiting requests of all replicas are as many as the clients. The load
thereby names the replicas that it needs.
"""

from __future__ import annotations

import contextlib
import math
import time
import uuid
from collections.abc import Iterator
from typing import Any, Final, NamedTuple

from tests.bench.progress import say
from tests.support.cluster import Kubectl
from tests.support.load import Load
from tests.support.objects import WAITING_DRIVER, image, manifest, service
from tests.support.status import condition, history, wait_for_status

REPLICAS: Final = 4
"""Replicas that the step needs, from one."""
MAX_REPLICAS: Final = 5
PLACES: Final = 4  # of a replica
TARGET: Final = 70  # percent
AIM_SECONDS: Final = 20
LIMIT_SECONDS: Final = 300
SWING_SECONDS: Final = 60.0
"""Time of the steady load at each of its two levels."""
IMAGE: Final = "waits"
METRICS: Final = {"step": "Requests", "step-cpu": "CPU"}
"""Metric of each Service."""


class Figures(NamedTuple):
    """The figures of the step and of the steady load."""

    seconds: float
    """From the first response until all replicas that the step needs are ready."""
    replicas: int
    """Replicas at the start of the steady load. A mean over seconds can add more than the step needs."""
    changes: int
    """Changes of the number of replicas during the steady load."""
    cpu_replicas: int
    """Most replicas of the Service that scales by CPU, at any time."""


def clients(percent: int) -> int:
    """Return the clients that keep REPLICAS at a percentage of their target, not above it."""
    return math.floor(REPLICAS * PLACES * TARGET * percent / 100**2)


def measure(minutes: float) -> Figures:
    """Measure in a new namespace, with a steady load of some minutes."""
    kubectl = Kubectl(f"bench-{uuid.uuid4().hex[:8]}")
    kubectl("create", "namespace", kubectl.namespace)
    try:
        _deploy(kubectl)
        with (
            history(kubectl, "deployment", "step", "{.spec.replicas}") as wanted,
            history(kubectl, "deployment", "step-cpu", "{.spec.replicas}") as wanted_by_cpu,
        ):
            seconds = _step(kubectl)
            before = len(wanted)
            _stay(kubectl, minutes * 60)
            steady = _runs(wanted[before - 1 :])
            say(f"replicas during the steady load: {' '.join(steady)}")
        return Figures(seconds, int(steady[0]), len(steady) - 1, max(map(int, wanted_by_cpu)))
    finally:
        kubectl("delete", "namespace", kubectl.namespace, "--wait=false")


def _deploy(kubectl: Kubectl) -> None:
    """Create both Services, and wait until their autoscalers have figures."""
    say("building the image of both Services")
    kubectl.apply(manifest(IMAGE, WAITING_DRIVER), image(IMAGE))
    for name, metric in METRICS.items():
        scaler = {"minReplicas": 1, "maxReplicas": MAX_REPLICAS, "targetUtilization": TARGET}
        kubectl.apply(
            service(
                name,
                IMAGE,
                autoScaler=scaler | {"utilizationMetric": metric},
                maxConcurrentRequestsPerContainer=PLACES,
                containerResourceReservation={"cpu": "100m", "memory": "64Mi"},
            )
        )
    for name in METRICS:
        wait_for_status(kubectl, "msvc", name, 600, state="Succeeded", replicas=1)
        say(f"{name} is ready, and waits for the first figures of its autoscaler")
        wait_for_status(kubectl, "hpa", name, 300, also=_has_figures)


def _has_figures(status: dict[str, Any]) -> bool:
    return condition(status, "ScalingActive").get("status") == "True"


def _step(kubectl: Kubectl) -> float:
    """Return the seconds from the first response of a load until the replicas that it needs are ready."""
    say(f"step from 0 to {clients(100)} clients: {REPLICAS} replicas at {TARGET} %")
    with _loads(kubectl, clients(100), LIMIT_SECONDS + 60) as load:
        began = min(min(second["first_at"].values()) for second in load.seconds() if second["first_at"])
        ready = 0
        while ready < REPLICAS:
            present = kubectl.get("deployment", "step")["status"].get("readyReplicas", 0)
            seconds = time.time() - began
            if present != ready:
                ready = present
                say(f"{ready} replicas are ready {seconds:.1f} s after the step")
            if seconds > LIMIT_SECONDS:
                raise SystemExit(
                    f"only {ready} of {REPLICAS} replicas are ready {LIMIT_SECONDS} s after the step"
                )
            time.sleep(0.2)
    return seconds


def _stay(kubectl: Kubectl, seconds: float) -> None:
    """Keep a load that swings between 50 % and 90 % of the step's."""
    end = time.monotonic() + seconds
    swing = min(SWING_SECONDS, seconds / 4)
    low, high = clients(50), clients(90)
    say(f"steady load for {seconds / 60:g} minutes: {low} and {high} clients in turn, {swing:.0f} s each")
    with _loads(kubectl, low, math.ceil(seconds) + 120):
        while (left := end - time.monotonic()) > 0:
            say(f"{left:.0f} s left; replicas: {_replicas(kubectl)}")
            with _loads(kubectl, high - low, math.ceil(swing) + 60):
                time.sleep(max(0.0, min(swing, end - time.monotonic())))
            time.sleep(max(0.0, min(swing, end - time.monotonic())))


@contextlib.contextmanager
def _loads(kubectl: Kubectl, count: int, seconds: int) -> Iterator[Load]:
    """Send the same load to both Services, and yield that of the one that scales by requests."""
    with contextlib.ExitStack() as stack:
        # A kept connection would stay at its replica. So each request has a new one.
        loads = [
            stack.enter_context(
                Load(kubectl, name, "{}", connections=count, seconds=seconds, new_connections=True)
            )
            for name in reversed(METRICS)
        ]
        yield loads[-1]


def _replicas(kubectl: Kubectl) -> str:
    found = {name: kubectl.get("deployment", name)["spec"]["replicas"] for name in METRICS}
    return ", ".join(f"{name} {count}" for name, count in found.items())


def _runs(values: list[str]) -> list[str]:
    """Return values without repetitions of their predecessor."""
    return [value for number, value in enumerate(values) if number == 0 or value != values[number - 1]]
