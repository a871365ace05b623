"""The status of objects: its present value, waits for a value, and the history of changes."""

from __future__ import annotations

import contextlib
import json
import subprocess
import threading
from collections.abc import Callable, Iterator
from typing import Any

from tests.support.cluster import Json, Kubectl, eventually


def status(kubectl: Kubectl, kind: str, name: str) -> Json:
    """Return the status of an object, empty if there is none."""
    found: Json = (kubectl.get_or_none(kind, name) or {}).get("status", {})
    return found


def condition(status: Json, type_: str) -> Json:
    """Return a condition of a status, empty if there is none."""
    return next((item for item in status.get("conditions", []) if item["type"] == type_), {})


def wait_for_status(
    kubectl: Kubectl,
    kind: str,
    name: str,
    seconds: float,
    *,
    also: Callable[[Json], bool] = lambda status: True,
    despite: tuple[type[Exception], ...] = (),
    **expected: Any,
) -> Json:
    """Wait until the fields of a status have the expected values, and return the status.

    `also` is a further condition; exceptions of the types `despite` do not end the wait. On a timeout it
    raises AssertionError with the last status.
    """
    last: Json = {}

    def probe() -> bool:
        with contextlib.suppress(*despite):
            present = status(kubectl, kind, name)
            last.clear()
            last.update(present)
        return all(last.get(field) == value for field, value in expected.items()) and also(last)

    try:
        eventually(probe, seconds, f"{kind} {name} with {expected}")
    except AssertionError as error:
        raise AssertionError(f"{error}\n{json.dumps(last, indent=2)}") from None
    return last


def operation(kubectl: Kubectl, kind: str, name: str, version: int) -> str | None:
    """Return the state of a version's operation, None if there is none."""
    record = kubectl.get("controllerrevision", f"{kind}-{name}-{version}")
    state: str | None = record["metadata"].get("annotations", {}).get("modelyard.dev/state")
    return state


def versions(kubectl: Kubectl, kind: str, name: str) -> list[int]:
    """Return the versions of an object that have a ControllerRevision."""
    records = kubectl.list("controllerrevisions", f"modelyard.dev/{kind}={name}")
    return sorted(record["revision"] for record in records)


def location(kubectl: Kubectl, name: str, version: int) -> str:
    """Return the image location of a version, with its digest."""
    record = kubectl.get("controllerrevision", f"image-{name}-{version}")
    found: str = record["metadata"]["annotations"]["modelyard.dev/image-location"]
    return found


def events(kubectl: Kubectl, kind: str, name: str) -> list[str]:
    """Return the reasons of the operator's events about an object, the oldest first."""
    found = [
        item
        for item in kubectl.list("events.events.k8s.io")
        if item.get("reportingController") == "modelyard.dev/operator"
        and (item["regarding"]["kind"], item["regarding"]["name"]) == (kind, name)
    ]
    return [item["reason"] for item in sorted(found, key=lambda item: item["eventTime"])]


@contextlib.contextmanager
def history(kubectl: Kubectl, kind: str, name: str, template: str) -> Iterator[list[str]]:
    """Record the value of a JSONPath at each change of an object during the context."""
    with history_of_all(kubectl, kind, template, "--field-selector", f"metadata.name={name}") as values:
        yield values


@contextlib.contextmanager
def history_of_all(kubectl: Kubectl, kind: str, template: str, *selector: str) -> Iterator[list[str]]:
    """Record the value of a JSONPath at each change of the selected objects during the context."""
    process = subprocess.Popen(
        [
            "kubectl", "--namespace", kubectl.namespace, "get", kind, "--watch",
            *selector, "--output", f"jsonpath={template}{{'\\n'}}",
        ],
        stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    values: list[str] = []

    def read() -> None:
        assert process.stdout is not None
        values.extend(line.strip() for line in process.stdout)

    reader = threading.Thread(target=read)
    reader.start()
    try:
        yield values
    finally:
        process.terminate()
        process.wait(timeout=10)
        reader.join()
        if process.stdout:
            process.stdout.close()
