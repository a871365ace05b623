"""The time until a changed key of a Service counts in each replica."""

from __future__ import annotations

import base64
import contextlib
import math
import secrets
import statistics
import subprocess
import time
from collections.abc import Iterator
from typing import Final

import httpx
import pytest
from tests.support.cluster import Kubectl, eventually, port_forward
from tests.support.objects import service
from tests.support.status import wait_for_status

PAIR: Final = ("primaryKey", "secondaryKey")
CHANGES: Final = 20
LIMIT_SECONDS: Final = 3.0  # of the 95th percentile


@pytest.fixture
def replicas(shared: Kubectl) -> Iterator[tuple[str, list[httpx.Client]]]:
    """A Service with three replicas, and a client for each of them."""
    name = "three"
    shared.apply(service(name, "one", numReplicas=3))
    wait_for_status(shared, "msvc", name, 180, state="Succeeded", readyReplicas=3)
    found = shared.ready_pods(f"modelyard.dev/service={name}")
    assert len(found) == 3
    with contextlib.ExitStack() as stack:
        stack.callback(lambda: shared("delete", "msvc", name, "--wait=false"))
        clients = []
        for pod in found:
            url = stack.enter_context(port_forward(shared.namespace, f"pod/{pod['metadata']['name']}", 5001))
            clients.append(stack.enter_context(httpx.Client(base_url=url, timeout=30)))
        yield name, clients


def statuses(clients: list[httpx.Client], key: str) -> set[int]:
    headers = {"Authorization": f"Bearer {key}"}
    return {client.post("/score", content="{}", headers=headers).status_code for client in clients}


class KeySecret:
    """A Secret with keys, over the API: a process of kubectl takes seconds on a busy machine."""

    def __init__(self, http: httpx.Client, namespace: str, name: str) -> None:
        self._http = http
        self._path = f"/api/v1/namespaces/{namespace}/secrets/{name}"

    def read(self, key: str) -> str | None:
        """Return a key, None if the Secret has none of that name."""
        value = self._http.get(self._path).raise_for_status().json()["data"].get(key)
        return value and base64.b64decode(value).decode()

    def patch(self, key: str, value: str | None) -> None:
        """Replace a key; None removes it."""
        encoded = value and base64.b64encode(value.encode()).decode()
        headers = {"Content-Type": "application/merge-patch+json"}
        self._http.patch(self._path, json={"data": {key: encoded}}, headers=headers).raise_for_status()

    def replace(self, key: str, *, removed: bool) -> str:
        """Replace a key, or remove it and wait for the operator's; return the new key."""
        new = secrets.token_urlsafe(32)
        self.patch(key, None if removed else new)
        return eventually(lambda: self.read(key), 60, "the Secret has the key", 0.05) or ""


@contextlib.contextmanager
def api_server() -> Iterator[httpx.Client]:
    """A client of the API server, through `kubectl proxy`."""
    with subprocess.Popen(["kubectl", "proxy", "--port=0"], stdout=subprocess.PIPE, text=True) as proxy:
        try:
            assert proxy.stdout is not None
            line = proxy.stdout.readline()  # Starting to serve on 127.0.0.1:40001
            with httpx.Client(base_url=f"http://{line.split()[-1]}", timeout=30) as client:
                yield client
        finally:
            proxy.terminate()


def test_changed_keys_count_in_all_replicas_within_three_seconds(
    shared: Kubectl, replicas: tuple[str, list[httpx.Client]]
) -> None:
    """The 95th percentile, by nearest rank, of the time from the request to the last replica."""
    name, clients = replicas
    seconds = []
    with api_server() as http:
        secret = KeySecret(http, shared.namespace, f"{name}-keys")
        for number in range(CHANGES):
            key = PAIR[number % 2]
            old = secret.read(key) or ""
            assert statuses(clients, old) == {200}
            started = time.monotonic()
            new = secret.replace(key, removed=number % 4 == 3)
            eventually(lambda new=new: statuses(clients, new) == {200}, 120, "the new key is accepted", 0.05)
            eventually(lambda old=old: statuses(clients, old) == {401}, 120, "the old key is refused", 0.05)
            seconds.append(time.monotonic() - started)
    seconds.sort()
    p50, p95 = statistics.median(seconds), seconds[math.ceil(0.95 * CHANGES) - 1]
    figures = f"{CHANGES} changes: p50 {p50:.2f} s, p95 {p95:.2f} s, slowest {seconds[-1]:.2f} s"
    print(figures)
    assert p95 <= LIMIT_SECONDS, figures
