"""prometheus-adapter as a process of a test, which serves custom metrics with the rule of docs/scaling.md."""

from __future__ import annotations

import contextlib
import os
import re
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest
import yaml
from tests.support.cluster import ROOT, Json, Kubectl
from tests.support.servers import Server, free_port

GROUP: Final = "custom.metrics.k8s.io"
API: Final = f"v1beta1.{GROUP}"
"""The only APIService of prometheus-adapter's chart."""
NAME: Final = "prometheus-adapter"
_PAGE: Final = ROOT / "docs" / "scaling.md"
_READERS: Final = "prometheus-adapter-readers"


def documented_values() -> tuple[Json, Json]:
    """Return the values of Modelyard's chart and of prometheus-adapter's, as the documentation has them."""
    blocks = re.findall(r"```yaml\n(.*?)```", _PAGE.read_text(encoding="utf-8"), re.DOTALL)
    modelyard, adapter = map(yaml.safe_load, blocks)
    return modelyard, adapter


def documented_rule() -> dict[str, Any]:
    """Return the rule that the documentation gives to prometheus-adapter."""
    (rule,) = documented_values()[1]["rules"]["custom"]
    return dict(rule)


@contextlib.contextmanager
def prometheus_adapter(kubectl: Kubectl, folder: Path, prometheus: str) -> Iterator[None]:
    """Run the program ADAPTER of the environment during the context, and register it in the API server.

    `prometheus` is the URL of Prometheus. The objects are those of the adapter's chart, with a process of
    this machine in place of pods.
    """
    adapter = os.environ.get("ADAPTER", "")
    if not os.access(adapter, os.X_OK):
        pytest.fail(f"'{adapter}' is no program: set ADAPTER to that of prometheus-adapter", pytrace=False)
    config = folder / "adapter.yaml"
    config.write_text(yaml.safe_dump({"rules": [documented_rule()]}), encoding="utf-8")
    host = _address_for_nodes(kubectl)
    port = free_port(host)
    kubeconfig = os.environ["KUBECONFIG"]
    command = [
        adapter,
        f"--config={config}",
        f"--prometheus-url={prometheus}",
        "--metrics-relist-interval=1m",  # the default of its chart
        f"--bind-address={host}",
        f"--secure-port={port}",
        f"--cert-dir={folder}",
        *(f"--{part}-kubeconfig={kubeconfig}" for part in ("lister", "authentication", "authorization")),
    ]
    with Server(command, port, folder, host=host):
        try:
            kubectl.apply(*_objects(kubectl.namespace, host, port))
            yield
        finally:
            # An APIService without a server would keep each deleted namespace.
            kubectl("delete", "apiservice", API, "--ignore-not-found")
            kubectl("delete", "clusterrole,clusterrolebinding", _READERS, "--ignore-not-found")


def _address_for_nodes(kubectl: Kubectl) -> str:
    """Return the address at which the nodes reach this machine."""
    addresses = kubectl.list("nodes")[0]["status"]["addresses"]
    (node,) = (one["address"] for one in addresses if one["type"] == "InternalIP")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as route:
        route.connect((node, 1))  # sends nothing
        return str(route.getsockname()[0])


def _objects(namespace: str, host: str, port: int) -> list[Json]:
    authorization = "rbac.authorization.k8s.io"
    account = {"kind": "ServiceAccount", "name": "horizontal-pod-autoscaler", "namespace": "kube-system"}
    return [
        {
            "apiVersion": "v1", "kind": "Service", "metadata": {"name": NAME},
            "spec": {"ports": [{"port": 443, "targetPort": port}]},
        },
        {
            "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice",
            "metadata": {"name": NAME, "labels": {"kubernetes.io/service-name": NAME}},
            "addressType": "IPv4", "endpoints": [{"addresses": [host]}], "ports": [{"port": port}],
        },
        {
            "apiVersion": f"{authorization}/v1", "kind": "ClusterRole", "metadata": {"name": _READERS},
            "rules": [{"apiGroups": [GROUP], "resources": ["*"], "verbs": ["*"]}],
        },
        {
            "apiVersion": f"{authorization}/v1", "kind": "ClusterRoleBinding", "metadata": {"name": _READERS},
            "roleRef": {"apiGroup": authorization, "kind": "ClusterRole", "name": _READERS},
            "subjects": [account],
        },
        {
            "apiVersion": "apiregistration.k8s.io/v1", "kind": "APIService", "metadata": {"name": API},
            "spec": {
                "group": GROUP, "version": API.partition(".")[0], "insecureSkipTLSVerify": True,
                "groupPriorityMinimum": 100, "versionPriority": 100,
                "service": {"name": NAME, "namespace": namespace},
            },
        },
    ]  # fmt: skip
