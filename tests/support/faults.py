"""Breaking the cluster of `make cluster`: its processes end with no chance to say goodbye."""

from __future__ import annotations

import os
import subprocess
from typing import Final

import pytest
from tests.support.cluster import Json, Kubectl, eventually

NODE: Final = os.environ.get("CONTROL_PLANE_CONTAINER", "")
REGISTRY: Final = os.environ.get("REGISTRY_CONTAINER", "")
needs_own_cluster = pytest.mark.skipif(
    os.environ.get("CLUSTER_KIND") != "kind", reason="breaks only the cluster of `make cluster`"
)


def docker(*arguments: str) -> None:
    """The engine in whose containers the nodes run."""
    subprocess.run(["docker", *arguments], check=True, capture_output=True, timeout=60)


def answers(kubectl: Kubectl) -> bool:
    """Return whether the API server answers /readyz."""
    try:
        kubectl("get", "--raw", "/readyz")
    except RuntimeError:
        return False
    return True


def crash_api_server(kubectl: Kubectl) -> None:
    """End it; the kubelet starts it again. A SIGTERM would let it finish its requests for a minute."""
    docker("exec", NODE, "pkill", "-KILL", "kube-apiserver")
    eventually(lambda: not answers(kubectl), 20, "the API server is down", every=0.1)


def crash(kubectl: Kubectl, pod: Json) -> None:
    """End the processes of a pod, then the pod: the kubelet would wait before it starts a container again."""
    name = pod["metadata"]["name"]
    its = f"grep -lzsx HOSTNAME={name} /proc/[0-9]*/environ | cut -d/ -f3"
    docker("exec", pod["spec"]["nodeName"], "sh", "-c", f"{its} | xargs --no-run-if-empty kill -KILL")
    kubectl("delete", "pod", name, "--grace-period=0", "--force", "--ignore-not-found")
