"""Kills of random parts: the operator, a pod of a build, the API server, etcd, the registry."""

from __future__ import annotations

import contextlib
import os
import random
import subprocess
import time
from collections.abc import Callable
from typing import Final

from tests.support.cluster import Json, Kubectl, eventually
from tests.support.faults import REGISTRY, crash, crash_component, docker
from tests.support.operator import SYSTEM, kill_operator

REGISTRY_DOWN_SECONDS: Final = 3
BUILD_SECONDS: Final = 6  # at most, until a build runs
# part → relative frequency; KILLS=operator,build chooses parts, and an empty KILLS none
_WEIGHTS: Final = {"operator": 4, "build": 4, "api-server": 2, "etcd": 2, "registry": 2}


def _chosen_parts(names: str) -> list[str]:
    """Return the parts in a list with commas. Raises ValueError if a part does not exist."""
    parts = [name for name in names.split(",") if name]
    if unknown := sorted(set(parts) - set(_WEIGHTS)):
        raise ValueError(f"KILLS: no part is called {', '.join(unknown)}. Choose from {', '.join(_WEIGHTS)}.")
    return parts


class Kills:
    """Kills parts at random, and counts the kills by part."""

    def __init__(self, kubectl: Kubectl, schedule: random.Random) -> None:
        self._namespace = kubectl.namespace
        self._random = schedule
        self._parts = _chosen_parts(os.environ.get("KILLS", ",".join(_WEIGHTS)))
        self.counts = dict.fromkeys(self._parts, 0)

    def kill(self) -> str:
        """Kill one part. Returns its name, empty if there is nothing to kill."""
        if not self._parts:
            return ""
        (part,) = self._random.choices(self._parts, [_WEIGHTS[part] for part in self._parts])
        kill: dict[str, Callable[[], bool]] = {
            "operator": self._operator,
            "build": self._build,
            "api-server": lambda: self._component("kube-apiserver"),
            "etcd": lambda: self._component("etcd"),
            "registry": self._registry,
        }
        # A part that another kill has stopped cannot be killed.
        with contextlib.suppress(RuntimeError, AssertionError, subprocess.SubprocessError):
            if kill[part]():
                self.counts[part] += 1
                return part
        return ""

    def _operator(self) -> bool:
        kill_operator()
        return True

    def _build(self) -> bool:
        # Builds take seconds, and the change before this kill may just have started one.
        running = eventually(self._build_pods, BUILD_SECONDS, "a build runs", every=0.2)
        crash(SYSTEM, self._random.choice(running))
        return True

    def _build_pods(self) -> list[Json]:
        """Return the running pods of builds of the soak's namespace."""
        prefix = f"{self._namespace}/"
        return [
            pod
            for pod in SYSTEM.list("pods", "job-name")
            if pod["status"]["phase"] == "Running"
            and pod["metadata"].get("annotations", {}).get("modelyard.dev/image", "").startswith(prefix)
        ]

    def _component(self, name: str) -> bool:
        # Without a wait until it is down: on a busy machine the kubelet may be faster than a look.
        crash_component(name)
        return True

    def _registry(self) -> bool:
        docker("kill", REGISTRY)
        try:
            time.sleep(REGISTRY_DOWN_SECONDS)
        finally:
            docker("start", REGISTRY)
        return True
