"""The pod of a build on a real node: its container for users' packages reaches no secret of the other one."""

from __future__ import annotations

import json
import os
import uuid
from collections.abc import Iterator
from typing import Any, Final

import pytest
from tests.support.cluster import Kubectl, eventually

from modelyard.contract.build_pod import (
    CONDA_CREDENTIALS_FILE,
    PACKAGES_CONTAINER,
    PIP_CONF_FILE,
    REGISTRY_CONFIG_FILE,
    REQUEST_FILE,
)
from modelyard.resources.build_pod import BuildAttempt, build_pod
from modelyard.settings import OperatorSettings

CANARY: Final = "canary-of-this-test"
SEARCH: Final = r"""
import json, os, sys, time
canary, found, processes = sys.argv[1].encode(), [], []
time.sleep(1)  # both containers run
for folder, folders, files in os.walk("/"):
    if folder in ("/sys", "/usr", "/dev"):
        folders.clear()
        continue
    if folder == "/proc":
        processes = [name for name in folders if name.isdigit()]
        folders.clear()
        for process in processes:
            for name in ("environ", "root/etc/modelyard/pip/pip.conf"):
                try:
                    if canary in open(f"/proc/{process}/{name}", "rb").read():
                        found.append(f"/proc/{process}/{name}")
                except OSError:
                    pass
        continue
    for name in files:
        try:
            if canary in open(os.path.join(folder, name), "rb").read(65536):
                found.append(os.path.join(folder, name))
        except OSError:
            pass
writable = [path for path in ("/packages", "/handoff", "/workspace", "/etc/modelyard")
            if os.access(path, os.W_OK)]
print(json.dumps({"found": sorted(found), "processes": len(processes), "writable": writable}))
time.sleep(1)
"""


@pytest.fixture
def kubectl(kubeconfig: object) -> Iterator[Kubectl]:
    kubectl = Kubectl(f"isolation-{uuid.uuid4().hex[:8]}")
    kubectl("create", "namespace", kubectl.namespace)
    yield kubectl
    kubectl("delete", "namespace", kubectl.namespace, "--wait=false")


def _report(kubectl: Kubectl, container: str) -> dict[str, Any]:
    report: dict[str, Any] = json.loads(kubectl("logs", "build", "--container", container))
    return report


def test_container_of_the_packages_finds_no_secret(kubectl: Kubectl) -> None:
    secrets = {
        "pip": PIP_CONF_FILE,
        "conda": CONDA_CREDENTIALS_FILE,
        "registry": REGISTRY_CONFIG_FILE,
        "signing": "cosign.key",
        "build": REQUEST_FILE,
    }
    for name, key in secrets.items():
        kubectl("create", "secret", "generic", name, f"--from-literal={key}={CANARY}")
    settings = OperatorSettings.model_validate({
        "build": {
            "image": os.environ["PYTHON_BASE_IMAGE"],
            "serviceAccount": "default",
            "pipConfigSecret": "pip",
            "conda": {"secret": "conda"},
            "registrySecret": "registry",
            "signingSecret": "signing",
            "extraEnv": [{"name": "HTTPS_PROXY", "value": f"http://me:{CANARY}@proxy"}],
        }
    })  # fmt: skip
    spec = build_pod(BuildAttempt("build", "default/m", 1, 1, "r.example/m:t"), settings)
    for container in spec["containers"]:
        container["command"] = ["python3", "-c", SEARCH]
        container["args"] = [CANARY]
    kubectl.apply({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "build"}, "spec": spec})
    eventually(
        lambda: kubectl.get("pod", "build")["status"]["phase"] == "Succeeded", 90, "the end of the pod"
    )
    build, packages = _report(kubectl, "build"), _report(kubectl, PACKAGES_CONTAINER)
    folders = {"/".join(path.split("/")[:4]) for path in build["found"] if path.startswith("/etc/modelyard/")}
    assert len(folders) == len(secrets), build  # the search finds secrets where there are some
    assert any(path.endswith("/environ") for path in build["found"])
    assert packages["found"] == []
    assert packages["processes"] == 1  # none of the other container
    assert packages["writable"] == ["/packages"]
    assert build["writable"] == ["/handoff", "/workspace"]
