"""A pod that runs a program of this folder, with the names and keys of Services in its environment."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Final

from tests.support.cluster import Json, Kubectl, operator_image

POD: Final = "requests"


def start(kubectl: Kubectl, program: str, services: list[str], **settings: object) -> None:
    """Start a program, and wait until it runs."""
    values = {"SERVICES": ",".join(services)} | {name: str(value) for name, value in settings.items()}
    env: list[Json] = [{"name": name, "value": value} for name, value in values.items()]
    for number, name in enumerate(services):
        key = {"secretKeyRef": {"name": f"{name}-keys", "key": "primaryKey"}}
        env.append({"name": f"KEY_{number}", "valueFrom": key})
    mounts = {"program": "/program", "tmp": "/tmp"}
    container: Json = {
        "name": POD,
        "image": operator_image(),
        "command": ["python3", f"/program/{program}"],
        "env": env,
        "volumeMounts": [{"name": name, "mountPath": path} for name, path in mounts.items()],
    }
    text = Path(__file__).with_name(program).read_text(encoding="utf-8")
    volumes = [{"name": "program", "configMap": {"name": POD}}, {"name": "tmp", "emptyDir": {}}]
    kubectl.apply(
        {
            "apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": POD},
            "data": {program: text},
        },
        {
            "apiVersion": "v1", "kind": "Pod", "metadata": {"name": POD, "labels": {"app": POD}},
            "spec": {
                "restartPolicy": "Never",
                "terminationGracePeriodSeconds": 1,
                "containers": [container],
                "volumes": volumes,
            },
        },
    )  # fmt: skip
    kubectl("wait", "pod", POD, "--for=condition=Ready", "--timeout=60s", timeout=70)


def lines(kubectl: Kubectl, kind: str) -> list[Any]:
    """Return the JSON lines of a kind that the program has printed so far."""
    found = (json.loads(line) for line in kubectl("logs", POD).splitlines() if line.startswith("{"))
    return [line[kind] for line in found if kind in line]
