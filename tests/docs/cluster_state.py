"""Reads the state of a page's objects from the cluster: the reason for a failed page is often there."""

from __future__ import annotations

import subprocess
from collections.abc import Iterable
from typing import Final

RELEASE: Final = "modelyard-system"
_OBJECTS: Final = "models.modelyard.dev,manifests.modelyard.dev,images.modelyard.dev,services.modelyard.dev"
_TIMEOUT_SECONDS: Final = 30


def cluster_state(namespaces: Iterable[str]) -> str:
    """Return objects, events and pods of the namespaces, and pods and logs of the release."""
    commands = [command for namespace in sorted(namespaces) for command in _of_namespace(namespace)]
    return "\n".join(_printed(command) for command in [*commands, *_of_release()])


def _of_namespace(namespace: str) -> list[list[str]]:
    return [
        ["--namespace", namespace, "describe", _OBJECTS],
        ["--namespace", namespace, "get", "pods", "--output", "wide"],
        ["--namespace", namespace, "get", "events", "--sort-by", ".lastTimestamp"],
    ]


def _of_release() -> list[list[str]]:
    logs = ["logs", "--all-containers", "--prefix", "--ignore-errors", "--tail", "30"]
    return [
        ["--namespace", RELEASE, "get", "pods", "--output", "wide"],
        ["--namespace", RELEASE, *logs, "--selector", "app.kubernetes.io/name=modelyard"],
        ["--namespace", RELEASE, *logs, "--selector", "app.kubernetes.io/component=build"],
    ]


def _printed(arguments: list[str]) -> str:
    command = ["kubectl", *arguments]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=_TIMEOUT_SECONDS, check=False)
    except subprocess.TimeoutExpired:
        return f"$ {' '.join(command)}\nno answer within {_TIMEOUT_SECONDS} s"
    return f"$ {' '.join(command)}\n{done.stdout}{done.stderr}"
