"""Status of objects: the present one and its changes."""

from __future__ import annotations

import contextlib
import json
import subprocess
import threading
from collections.abc import Callable, Iterator
from typing import Any

from tests.support.cluster import Json, Kubectl, eventually


def status(kubectl: Kubectl, kind: str, name: str) -> Json:
    """The status of an object; empty while there is none."""
    found: Json = (kubectl.get_or_none(kind, name) or {}).get("status", {})
    return found


def condition(told: Json, type_: str) -> Json:
    """A condition of a status; empty when it is not there."""
    return next((item for item in told.get("conditions", []) if item["type"] == type_), {})


def wait_for_status(
    kubectl: Kubectl,
    kind: str,
    name: str,
    seconds: float,
    *,
    also: Callable[[Json], bool] = lambda told: True,
    despite: tuple[type[Exception], ...] = (),
    **wanted: Any,
) -> Json:
    """The status once its fields are as wanted; AssertionError with the last status."""
    told: Json = {}

    def probe() -> bool:
        with contextlib.suppress(*despite):
            now = status(kubectl, kind, name)
            told.clear()
            told.update(now)
        return all(told.get(field) == value for field, value in wanted.items()) and also(told)

    try:
        eventually(probe, seconds, f"{kind} {name} with {wanted}")
    except AssertionError as error:
        raise AssertionError(f"{error}\n{json.dumps(told, indent=2)}") from None
    return told


def operation(kubectl: Kubectl, kind: str, name: str, version: int) -> str | None:
    """State of the operation that the record of a version holds."""
    record = kubectl.get("controllerrevision", f"{kind}-{name}-{version}")
    state: str | None = record["metadata"].get("annotations", {}).get("modelyard.dev/state")
    return state


def versions(kubectl: Kubectl, kind: str, name: str) -> list[int]:
    """Versions that are recorded of an object."""
    records = kubectl.list("controllerrevisions", f"modelyard.dev/{kind}={name}")
    return sorted(record["revision"] for record in records)


def location(kubectl: Kubectl, name: str, version: int) -> str:
    """The image of a version, by digest."""
    record = kubectl.get("controllerrevision", f"image-{name}-{version}")
    found: str = record["metadata"]["annotations"]["modelyard.dev/image-location"]
    return found


def events(kubectl: Kubectl, kind: str, name: str) -> list[str]:
    """Reasons of the operator's events on an object, oldest first."""
    found = [
        item
        for item in kubectl.list("events.events.k8s.io")
        if item.get("reportingController") == "modelyard.dev/operator"
        and (item["regarding"]["kind"], item["regarding"]["name"]) == (kind, name)
    ]
    return [item["reason"] for item in sorted(found, key=lambda item: item["eventTime"])]


@contextlib.contextmanager
def history(kubectl: Kubectl, kind: str, name: str, template: str) -> Iterator[list[str]]:
    """Record the value of a JSONPath at each change of an object, while the context lasts."""
    process = subprocess.Popen(
        [
            "kubectl", "--namespace", kubectl.namespace, "get", kind, "--watch",
            "--field-selector", f"metadata.name={name}", "--output", f"jsonpath={template}{{'\\n'}}",
        ],
        stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    seen: list[str] = []

    def read() -> None:
        assert process.stdout is not None
        seen.extend(line.strip() for line in process.stdout)

    reader = threading.Thread(target=read)
    reader.start()
    try:
        yield seen
    finally:
        process.terminate()
        process.wait(timeout=10)
        reader.join()
        if process.stdout:
            process.stdout.close()
