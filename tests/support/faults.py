"""Faults of the cluster of `make cluster`: processes end without a clean shutdown."""

from __future__ import annotations

import contextlib
import os
import subprocess
from collections.abc import Iterator
from typing import Final

import pytest
from tests.support.cluster import Json, Kubectl, eventually

NODE: Final = os.environ.get("CONTROL_PLANE_CONTAINER", "")
REGISTRY: Final = os.environ.get("REGISTRY_CONTAINER", "")
needs_own_cluster = pytest.mark.skipif(
    os.environ.get("CLUSTER_KIND") != "kind", reason="the faults are only for the cluster of `make cluster`"
)


def docker(*arguments: str) -> None:
    """Run a command of the Docker engine, whose containers are the nodes."""
    subprocess.run(["docker", *arguments], check=True, capture_output=True, timeout=60)


def is_api_server_up(kubectl: Kubectl) -> bool:
    """Return True if the API server answers /readyz."""
    try:
        kubectl("get", "--raw", "/readyz")
    except RuntimeError:
        return False
    return True


def crash_component(name: str) -> None:
    """Kill the process of a control plane component, such as etcd. The kubelet restarts it."""
    docker("exec", NODE, "pkill", "-KILL", name)


def crash_api_server(kubectl: Kubectl) -> None:
    """Kill the API server, and wait until it is down.

    After a SIGTERM it would complete requests for up to a minute.
    """
    crash_component("kube-apiserver")
    eventually(lambda: not is_api_server_up(kubectl), 20, "the API server is down", every=0.1)


def crash(kubectl: Kubectl, pod: Json) -> None:
    """Kill the processes of a pod, then delete the pod, because the kubelet delays restarts of containers."""
    name = pod["metadata"]["name"]
    processes = f"grep -lzsx HOSTNAME={name} /proc/[0-9]*/environ | cut -d/ -f3"
    # A process may end before its turn, which xargs would report as its failure.
    kill = "while read -r process; do kill -KILL $process || true; done"
    docker("exec", pod["spec"]["nodeName"], "sh", "-c", f"{processes} | {kill}")
    kubectl("delete", "pod", name, "--grace-period=0", "--force", "--ignore-not-found")


@contextlib.contextmanager
def packets_dropped(chain: str, *match: str) -> Iterator[None]:
    """Drop packets in a chain of the node's packet filter, such as INPUT, that match iptables' conditions."""
    rule = (chain, *match, "--jump", "DROP")
    docker("exec", NODE, "iptables", "--wait", "--insert", *rule)
    try:
        yield
    finally:
        docker("exec", NODE, "iptables", "--wait", "--delete", *rule)
