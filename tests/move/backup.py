"""Two ways to move a namespace: the files of docs/backup.md, and the kinds and the order of Velero."""

from __future__ import annotations

import json
import os
import re
import subprocess
from pathlib import Path
from typing import Final

from tests.support.cluster import ROOT, Json, Kubectl
from tests.support.operator import SYSTEM, operator_pod

_SCRIPT: Final = re.compile(r"^```sh\n(save\(\).*?)^```", re.MULTILINE | re.DOTALL)
# Velero's default order, then the other kinds in alphabetical order of `<plural>.<group>`:
# https://velero.io/docs/main/restore-reference/#restore-order
_VELERO_ORDER: Final = (
    "secrets", "configmaps", "serviceaccounts", "pods", "replicasets.apps", "services",
    "controllerrevisions.apps", "deployments.apps", "horizontalpodautoscalers.autoscaling",
    "images.modelyard.dev", "manifests.modelyard.dev", "models.modelyard.dev",
    "poddisruptionbudgets.policy", "services.modelyard.dev",
)  # fmt: skip
_METADATA: Final = ("name", "namespace", "labels", "annotations")
_VELERO_LABELS: Final = {"velero.io/backup-name": "move", "velero.io/restore-name": "move"}


def move_by_files(old: Kubectl, new: Kubectl, folder: Path) -> None:
    """Save with the commands of docs/backup.md, and restore the objects while the operator is stopped."""
    (script,) = _SCRIPT.findall((ROOT / "docs" / "backup.md").read_text(encoding="utf-8"))
    environment = os.environ | {"KUBECONFIG": str(old.kubeconfig)}
    script = "set -e\n" + script.replace("team-a", old.namespace)
    subprocess.run(["bash", "-c", script], cwd=folder, env=environment, check=True, timeout=60)
    new("create", "namespace", new.namespace)
    _scale_operator(0)
    try:
        new("create", f"--filename={folder}/objects.json", f"--filename={folder}/versions.json")
    finally:
        _scale_operator(1)
    operator_pod()


def move_like_velero(old: Kubectl, new: Kubectl, _: Path) -> None:
    """Restore all objects of the namespace one by one, in the order of Velero and while the operator runs."""
    backup = {kind: old.list(kind) for kind in _VELERO_ORDER}
    new("create", "namespace", new.namespace)
    for kind, items in backup.items():
        for item in items:
            if _is_restored(kind, item):
                new("create", "--filename=-", stdin=json.dumps(_restored(item)))


def _is_restored(kind: str, item: Json) -> bool:
    """Return False for an object that each namespace has from the start."""
    name = item["metadata"]["name"]
    return (kind, name) not in {("serviceaccounts", "default"), ("configmaps", "kube-root-ca.crt")}


def _restored(item: Json) -> Json:
    """Return an object without the fields that Velero removes, and with its labels."""
    metadata = {key: item["metadata"][key] for key in _METADATA if key in item["metadata"]}
    metadata["labels"] = metadata.get("labels", {}) | _VELERO_LABELS
    restored: Json = {key: value for key, value in item.items() if key != "status"} | {"metadata": metadata}
    spec = restored.get("spec", {})
    if item["kind"] == "Pod":
        spec.pop("nodeName", None)
    if item["kind"] == "Service" and item["apiVersion"] == "v1":
        for field in ("clusterIP", "clusterIPs"):
            spec.pop(field, None)
    return restored


def _scale_operator(replicas: int) -> None:
    SYSTEM("scale", "deployment", "modelyard", f"--replicas={replicas}")
    SYSTEM("rollout", "status", "deployment/modelyard", "--timeout=60s", timeout=70)
