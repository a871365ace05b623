"""The cluster from a user's view: kubectl, the examples, and functions that wait for a state."""

from __future__ import annotations

import base64
import contextlib
import json
import os
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final, TypeVar

import yaml

ROOT: Final = Path(__file__).parents[2]
EXAMPLE: Final = ROOT / "charts/modelyard/examples/diabetes"
COLLECTING_EXAMPLE: Final = ROOT / "charts/modelyard/examples/data-collection"
EXAMPLE_REGISTRY: Final = "registry.example.com"
OPERATOR_NAMESPACE: Final = "modelyard-system"
KINDS: Final = "models.modelyard.dev,manifests.modelyard.dev,images.modelyard.dev,services.modelyard.dev"

Json = dict[str, Any]
T = TypeVar("T")


class Kubectl:
    """Runs kubectl in one namespace. Raises RuntimeError with the standard error of kubectl if it fails."""

    def __init__(self, namespace: str, kubeconfig: str | None = None):
        """`kubeconfig` is the file of another cluster than that of the environment."""
        self.namespace = namespace
        self.kubeconfig = kubeconfig

    def __call__(self, *arguments: str, stdin: str | None = None, timeout: float = 60) -> str:
        cluster = ["--kubeconfig", self.kubeconfig] if self.kubeconfig else []
        command = ["kubectl", *cluster, "--namespace", self.namespace, *arguments]
        try:
            done = subprocess.run(
                command, input=stdin, capture_output=True, text=True, timeout=timeout, check=False
            )
        except subprocess.TimeoutExpired:
            raise RuntimeError(f"{' '.join(command)}: not finished after {timeout:g} s") from None
        if done.returncode:
            raise RuntimeError(f"{' '.join(command)}: {done.stderr.strip()}")
        return done.stdout

    def apply(self, *objects: Json) -> None:
        """Apply objects in the order given."""
        self("apply", "--filename", "-", stdin="\n---\n".join(json.dumps(item) for item in objects))

    def get(self, kind: str, name: str) -> Json:
        """Return an object by kind and name."""
        return json.loads(self("get", kind, name, "--output", "json"))

    def get_or_none(self, kind: str, name: str) -> Json | None:
        """Return an object by kind and name, None if there is none."""
        text = self("get", kind, name, "--output", "json", "--ignore-not-found")
        return json.loads(text) if text.strip() else None

    def list(self, kind: str, selector: str = "") -> list[Json]:
        """Return the objects of a kind that match a label selector."""
        return json.loads(self("get", kind, "--output", "json", "--selector", selector))["items"]

    def ready_pods(self, selector: str) -> list[Json]:
        """Return the pods that are ready and not being deleted."""
        return [pod for pod in self.list("pods", selector) if _is_ready(pod)]

    def patch(self, kind: str, name: str, patch: Json) -> None:
        """Apply a JSON merge patch to an object."""
        self("patch", kind, name, "--type", "merge", "--patch", json.dumps(patch))

    def secret(self, name: str) -> dict[str, str]:
        """Return the decoded data of a Secret."""
        data = self.get("secret", name).get("data", {})
        return {key: base64.b64decode(value).decode() for key, value in data.items()}


def _is_ready(pod: Json) -> bool:
    conditions = pod["status"].get("conditions", [])
    ready = {"Ready", "True"} in [{c["type"], c["status"]} for c in conditions]
    return ready and "deletionTimestamp" not in pod["metadata"]


def eventually(probe: Callable[[], T], seconds: float, what: str, every: float = 0.5) -> T:
    """Return the first truthy result of `probe`; an AssertionError names the goal and the last result."""
    deadline = time.monotonic() + seconds
    while True:
        result = probe()
        if result:
            return result
        if time.monotonic() > deadline:
            raise AssertionError(f"{what}: not within {seconds:g} s; last: {result!r}")
        time.sleep(every)


def example(registry: str, *, folder: Path = EXAMPLE, **replacements: str) -> list[Json]:
    """Return the four objects of an example from `kubectl kustomize`, with a model in `registry`."""
    text = subprocess.run(
        ["kubectl", "kustomize", str(folder)], capture_output=True, text=True, check=True, timeout=30
    ).stdout
    for old, new in {EXAMPLE_REGISTRY: registry, **replacements}.items():
        text = text.replace(old, new)
    return list(yaml.safe_load_all(text))


@contextlib.contextmanager
def port_forward(namespace: str, target: str, port: int) -> Iterator[str]:
    """Forward a free port to a pod or a Service during the context, and yield `http://127.0.0.1:<port>`."""
    process = subprocess.Popen(
        ["kubectl", "--namespace", namespace, "port-forward", target, f":{port}"],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        assert process.stdout is not None
        line = process.stdout.readline()  # Forwarding from 127.0.0.1:40001 -> 5001
        if "->" not in line:
            raise RuntimeError(f"port-forward to {target}: {process.communicate(timeout=5)[1].strip()}")
        yield f"http://{line.split()[2]}"
    finally:
        process.terminate()
        process.communicate(timeout=10)


def operator_image() -> str:
    """Return the image of the installed operator, which its builds run too."""
    operator = Kubectl(OPERATOR_NAMESPACE).get("deployment", "modelyard")
    return operator["spec"]["template"]["spec"]["containers"][0]["image"]


def registry_inside() -> str:
    """Return the address of the registry for pods."""
    return os.environ.get("REGISTRY_INTERNAL") or os.environ["REGISTRY_PUSH"]
