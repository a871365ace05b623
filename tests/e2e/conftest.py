"""Fixtures of end-to-end tests: the installed chart, a namespace, images that are built once."""

from __future__ import annotations

import os
import subprocess
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

import httpx
import pytest
import yaml
from tests.support.cluster import OPERATOR_NAMESPACE, Kubectl, port_forward
from tests.support.files import Files
from tests.support.objects import (
    CONTAINER_DRIVER,
    CRASHING_DRIVER,
    STREAM_DRIVER,
    TYPED_DRIVER,
    WAITING_DRIVER,
    constant_driver,
    image,
    manifest,
    service,
)
from tests.support.status import wait_for_status

FOLDER: Final = Path(__file__).parent
VALUES: Final = ("values.yaml", *(["routing.yaml"] if "HTTPS_GATEWAY" in os.environ else []))
# Files that run alone, in this order: their tests change the release, count writes, or measure times.
# Some read the operator's whole log and counters. They run before the faults, which leave traces in both.
ALONE: Final = (
    *("test_docker.py", "test_registry_cleanup.py", "test_key_changes.py", "test_rollouts.py"),
    *("test_chart.py", "test_steady.py", "test_alerts.py", "test_release_alerts.py", "test_faults.py"),
)
DRIVERS: Final = {
    "one": constant_driver("one"),
    "two": constant_driver("two"),
    "broken": CRASHING_DRIVER,
    "waits": WAITING_DRIVER,
    "container": CONTAINER_DRIVER,
    "stream": STREAM_DRIVER,
    "typed": TYPED_DRIVER,
}

Score = Callable[..., httpx.Response]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the tests of this folder, and put those of ALONE last."""
    ours = [item for item in items if item.path.is_relative_to(FOLDER)]
    for item in ours:
        item.add_marker(pytest.mark.e2e)
        if item.path.name in ALONE:
            item.add_marker(pytest.mark.alone)
    places = [index for index, item in enumerate(items) if item.path.is_relative_to(FOLDER)]
    ours.sort(key=lambda item: ALONE.index(item.path.name) if item.path.name in ALONE else -1)
    for place, item in zip(places, ours, strict=True):
        items[place] = item


@pytest.fixture(scope="session")
def installed() -> None:
    """The chart is there with the values that these tests are written for."""
    if not Path(os.environ.get("KUBECONFIG", "")).is_file():
        pytest.fail("there is no cluster: run `make cluster`, then `. .cluster/env`", pytrace=False)
    command = ["helm", "get", "values", "modelyard", "--namespace", OPERATOR_NAMESPACE, "--output", "yaml"]
    told = subprocess.run(command, capture_output=True, text=True, check=False)
    for name in VALUES:
        wanted = yaml.safe_load((FOLDER / name).read_text(encoding="utf-8"))
        if told.returncode or not _within(wanted, yaml.safe_load(told.stdout)):
            pytest.fail(f"the chart is not installed with {name}: run `make test-e2e`", pytrace=False)


def _within(wanted: Any, live: Any) -> bool:
    if isinstance(wanted, dict):
        return isinstance(live, dict) and all(_within(item, live.get(key)) for key, item in wanted.items())
    return bool(wanted == live)


@pytest.fixture(scope="session")
def namespace(installed: None) -> Iterator[Callable[[], Kubectl]]:
    """New namespaces, deleted at the end without waiting."""
    made: list[Kubectl] = []

    def make() -> Kubectl:
        kubectl = Kubectl(f"e2e-{uuid.uuid4().hex[:8]}")
        kubectl("create", "namespace", kubectl.namespace)
        made.append(kubectl)
        return kubectl

    yield make
    for kubectl in made:
        kubectl("delete", "namespace", kubectl.namespace, "--wait=false", "--ignore-not-found")


@pytest.fixture
def kubectl(namespace: Callable[[], Kubectl]) -> Iterator[Kubectl]:
    """kubectl in a namespace of the test's own."""
    made = namespace()
    yield made
    made("delete", "namespace", made.namespace, "--wait=false")


@pytest.fixture(scope="session")
def shared(namespace: Callable[[], Kubectl]) -> Kubectl:
    """kubectl in a namespace with an Image for each of DRIVERS, for Services that tests make there."""
    made = namespace()
    made.apply(*(item for name, driver in DRIVERS.items() for item in (manifest(name, driver), image(name))))
    for name in DRIVERS:
        wait_for_status(made, "img", name, 120, state="Succeeded")
    return made


@pytest.fixture(scope="session")
def failing(shared: Kubectl) -> list[str]:
    """The names of new Services that fail at the end of their deadline of 25 s; nothing waits for that."""
    crowded = service("crowded-out", "one", containerResourceReservation={"cpu": "900"})
    shared.apply(service("crashing", "broken"), crowded)
    return ["crashing", "crowded-out"]


@pytest.fixture(scope="session")
def files(namespace: Callable[[], Kubectl]) -> Files:
    """A web server that builds can reach."""
    return Files(namespace())


@pytest.fixture(scope="session")
def score() -> Score:
    """A request to a Service, with its primary key unless another one, or None, is given."""

    def send(kubectl: Kubectl, service: str, key: str | None = "") -> httpx.Response:
        if key == "":
            key = kubectl.secret(f"{service}-keys")["primaryKey"]
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        with port_forward(kubectl.namespace, f"service/{service}", 80) as url:
            return httpx.post(f"{url}/score", content="{}", headers=headers, timeout=30)

    return send


@pytest.fixture
def make_service(shared: Kubectl) -> Iterator[Callable[..., str]]:
    """Services of the shared images, rolled out, and deleted at the end without waiting."""
    made: list[str] = []

    def make(image_id: str, **spec: object) -> str:
        name = f"svc-{uuid.uuid4().hex[:6]}"
        made.append(name)
        shared.apply(service(name, image_id, **spec))
        wait_for_status(shared, "msvc", name, 120, state="Succeeded")
        return name

    yield make
    if made:
        shared("delete", "msvc", *made, "--wait=false")
