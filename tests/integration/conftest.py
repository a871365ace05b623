"""Fixtures of tests against a real API server: the cluster, its clients, the CRDs, a namespace."""

from __future__ import annotations

import os
import ssl
import subprocess
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

import httpx
import pytest
import yaml
from kubernetes import client, config

FOLDER: Final = Path(__file__).parent
ROOT: Final = FOLDER.parents[1]
ENVIRONMENT: Final = ROOT / ".cluster" / "env"
CRDS: Final = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
PUBLISHED: Final = "/openapi/v3/apis/modelyard.dev/v1alpha1"
# Helm takes over only objects with these labels and annotations.
HELM: Final = {
    "labels": {"app.kubernetes.io/managed-by": "Helm"},
    "annotations": {
        "helm.sh/resource-policy": "keep",
        "meta.helm.sh/release-name": "modelyard",
        "meta.helm.sh/release-namespace": "modelyard-system",
    },
}
NO_CLUSTER: Final = "run `make cluster`, or set KUBECONFIG to your own cluster"
PATIENCE_SECONDS: Final = 60


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark all tests of this folder as integration tests, which need a cluster."""
    for item in items:
        if item.path.is_relative_to(FOLDER):
            item.add_marker(pytest.mark.integration)


def _load(file: Path) -> None:
    """Set the environment variables of a file with `export NAME=value` lines."""
    for line in file.read_text(encoding="utf-8").splitlines():
        name, is_assignment, value = line.removeprefix("export ").partition("=")
        if is_assignment and not line.startswith("#"):
            os.environ[name] = os.path.expandvars(value)


@pytest.fixture(scope="session")
def kubeconfig() -> Path:
    """Return the path of the kubeconfig, and set the environment of `. .cluster/env`."""
    if "KUBECONFIG" not in os.environ and ENVIRONMENT.exists():
        _load(ENVIRONMENT)
    file = Path(os.environ.get("KUBECONFIG", ""))
    if not file.is_file():
        pytest.fail(f"there is no cluster: {NO_CLUSTER}", pytrace=False)
    return file


@pytest.fixture(scope="session")
def api(kubeconfig: Path) -> Iterator[httpx.Client]:
    """Return an HTTP client of the API server with the credentials of the kubeconfig."""
    settings = client.Configuration()
    config.load_kube_config(str(kubeconfig), client_configuration=settings, persist_config=False)
    context = ssl.create_default_context(cafile=settings.ssl_ca_cert)
    if settings.cert_file:
        context.load_cert_chain(settings.cert_file, settings.key_file)
    with httpx.Client(
        base_url=settings.host,
        verify=context if settings.verify_ssl else False,
        headers={item["key"]: item["value"] for item in settings.auth_settings().values()},
        timeout=PATIENCE_SECONDS,
    ) as http:
        try:
            http.get(CRDS, params={"limit": 1}).raise_for_status()
        except httpx.HTTPError as error:
            pytest.fail(f"the cluster of {kubeconfig} does not answer ({error}): {NO_CLUSTER}", pytrace=False)
        yield http


@pytest.fixture(scope="session")
def kubectl(kubeconfig: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[..., str]:
    """Return a function that runs kubectl and returns its output; a failure shows its standard error."""
    # The discovery cache of kubectl may be older than the CRDs, so each session has its own.
    cache = tmp_path_factory.mktemp("kubectl")

    def run(*arguments: str, text: str | None = None) -> str:
        command = ["kubectl", f"--kubeconfig={kubeconfig}", f"--cache-dir={cache}", *arguments]
        done = subprocess.run(command, input=text, capture_output=True, text=True, check=False)
        assert done.returncode == 0, f"{' '.join(arguments)}: {done.stderr}"
        return done.stdout

    return run


def _served(api: httpx.Client, wanted: dict[str, Any]) -> bool:
    """Return whether the API server serves exactly this CRD."""
    answer = api.get(f"{CRDS}/{wanted['metadata']['name']}")
    if answer.status_code == 404:
        return False
    live = answer.raise_for_status().json()
    conditions = {item["type"]: item["status"] for item in live.get("status", {}).get("conditions") or []}
    return live["spec"]["versions"] == wanted["spec"]["versions"] and conditions.get("Established") == "True"


def _published(api: httpx.Client, wanted: dict[str, Any]) -> bool:
    """Return whether the API server has published the schema of the kind, some time after the CRD."""
    answer = api.get(PUBLISHED)
    schemas = answer.json()["components"]["schemas"] if answer.is_success else {}
    live = schemas.get(f"dev.modelyard.v1alpha1.{wanted['spec']['names']['kind']}", {})
    (version,) = wanted["spec"]["versions"]
    spec = version["schema"]["openAPIV3Schema"]["properties"]["spec"]
    return _within(spec, live.get("properties", {}).get("spec"))


def _within(wanted: Any, live: Any) -> bool:
    if isinstance(wanted, dict):
        return isinstance(live, dict) and all(_within(item, live.get(key)) for key, item in wanted.items())
    return bool(wanted == live)


def _apply(api: httpx.Client, wanted: dict[str, Any]) -> None:
    """Install a CRD as Helm does, so that the chart can take it over, or update the CRD of Helm."""
    path = f"{CRDS}/{wanted['metadata']['name']}"
    answer = api.get(path)
    live = answer.json()["metadata"] if answer.is_success else HELM
    kept = {key: live[key] for key in ("labels", "annotations") if key in live}
    applied = api.patch(
        path,
        params={"fieldManager": "helm", "force": "true"},
        headers={"Content-Type": "application/apply-patch+yaml"},
        content=yaml.safe_dump(wanted | {"metadata": wanted["metadata"] | kept}),
    )
    if applied.status_code != 409:  # another process of the tests installs it at the same moment
        applied.raise_for_status()


@pytest.fixture(scope="session")
def crds(api: httpx.Client) -> None:
    """Install the CRDs of this checkout, except those that the cluster already has."""
    files = sorted((ROOT / "crds").glob("*.yaml"))
    wanted = [yaml.safe_load(file.read_text(encoding="utf-8")) for file in files]
    for crd in wanted:
        if not _served(api, crd):
            _apply(api, crd)
    end = time.monotonic() + PATIENCE_SECONDS
    while not all(_served(api, crd) and _published(api, crd) for crd in wanted):
        assert time.monotonic() < end, "the API server does not serve the CRDs"
        time.sleep(0.1)


@pytest.fixture
def namespace(api: httpx.Client) -> Iterator[str]:
    """Create a namespace for one test, and delete it afterwards."""
    name = f"test-{uuid.uuid4().hex[:8]}"
    body = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}
    api.post("/api/v1/namespaces", json=body).raise_for_status()
    yield name
    api.delete(f"/api/v1/namespaces/{name}").raise_for_status()
