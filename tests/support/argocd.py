"""Argo CD as processes of a test, which sync one namespace of the cluster."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import yaml
from tests.support.cluster import ROOT, Json, Kubectl
from tests.support.crds import created_crds
from tests.support.programs import program
from tests.support.servers import Server, free_port

API_SERVER: Final = "https://kubernetes.default.svc"
"""Argo CD's name of the cluster that it runs in. Outside of a pod it uses KUBECONFIG for it."""

API_VERSION: Final = "argoproj.io/v1alpha1"
_HEALTH: Final = ROOT / "charts/modelyard/examples/gitops/argocd-health.yaml"


@contextlib.contextmanager
def argocd(namespace: str, folder: Path) -> Iterator[None]:
    """Run Argo CD during the context, with its CRDs and the health script of the example.

    As processes of this machine its parts need no image and no rights, and reach the repository of the test.
    Their logs are in `folder`. Applications have no finalizer, so their objects stay when the CRDs go.
    """
    with created_crds(program("argocd-application-controller").parent / "crds"):
        Kubectl(namespace).apply(*_settings(namespace))
        with (
            _redis(folder) as redis,
            _repo_server(folder, redis) as server,
            _controller(namespace, folder, redis, server),
        ):
            yield


def _settings(namespace: str) -> list[Json]:
    """Return the settings of Argo CD: health checks, a project, and one namespace of the cluster to watch."""
    part = {"app.kubernetes.io/part-of": "argocd"}
    cluster = {"argocd.argoproj.io/secret-type": "cluster"}
    access = {"name": "in-cluster", "server": API_SERVER, "config": "{}", "namespaces": namespace}
    project = {"sourceRepos": ["*"], "destinations": [{"server": API_SERVER, "namespace": namespace}]}
    return [
        {
            "apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "argocd-cm", "labels": part},
            "data": yaml.safe_load(_HEALTH.read_text(encoding="utf-8"))["data"],
        },
        {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "argocd-secret", "labels": part}},
        {
            "apiVersion": "v1", "kind": "Secret", "metadata": {"name": "argocd-cluster", "labels": cluster},
            "stringData": access,
        },
        {"apiVersion": API_VERSION, "kind": "AppProject", "metadata": {"name": "default"}, "spec": project},
    ]  # fmt: skip


def _redis(folder: Path) -> Server:
    port = free_port()
    return Server([program("argocd-redis"), f"127.0.0.1:{port}"], port, folder)


def _repo_server(folder: Path, redis: Server) -> Server:
    port = free_port()
    arguments = (
        f"--redis={redis.address}",
        "--disable-tls",
        "--address=127.0.0.1",
        f"--port={port}",
        "--metrics-address=127.0.0.1",
        f"--metrics-port={free_port()}",
    )
    environment = {
        "ARGOCD_GPG_ENABLED": "false",
        "ARGOCD_ASK_PASS_SOCK": str(folder / "ask-pass.sock"),
        "TMPDIR": str(folder),
    }
    return Server([program("argocd-repo-server"), *arguments], port, folder, environment=environment)


def _controller(namespace: str, folder: Path, redis: Server, server: Server) -> Server:
    port = free_port()
    arguments = (
        f"--kubeconfig={os.environ['KUBECONFIG']}",
        f"--namespace={namespace}",
        f"--redis={redis.address}",
        f"--repo-server={server.address}",
        "--repo-server-plaintext",
        "--persist-resource-health",
        f"--metrics-port={port}",
    )
    environment = {"ARGOCD_FAKE_IN_CLUSTER": "true"}
    return Server(
        [program("argocd-application-controller"), *arguments], port, folder, environment=environment
    )
