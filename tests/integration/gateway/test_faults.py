"""Gateways and the operator killed at random points of creates: nothing is lost, nothing comes twice.

Two gateways and an operator of the test's own run against an API server where nothing else reconciles:
`BARE_API_SERVER` names it by a kubeconfig with a token.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import signal
import socket
import subprocess
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import httpx
import pytest
import yaml

_KUBECONFIG: Final = os.environ.get("BARE_API_SERVER", "")
pytestmark = pytest.mark.skipif(not _KUBECONFIG, reason="BARE_API_SERVER names no API server")

_QUERY: Final = {"api-version": "2017-09-01-preview"}
_SECONDS: Final = 45.0  # of killing
_CLIENTS: Final = 8
_NAMES: Final = ("one", "Two.pkl", "three")


def _free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


class Process:
    """A part of Modelyard that is killed without a warning and started again."""

    def __init__(self, part: str, **environment: str):
        self._command = [sys.executable, "-m", "modelyard", part]
        self._environment = os.environ | environment
        self.kills = 0
        self.start()

    def start(self) -> None:
        self._process = subprocess.Popen(
            self._command, env=self._environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )

    def kill(self) -> None:
        self._process.send_signal(signal.SIGKILL)
        self._process.wait()
        self.kills += 1


Parts = tuple[list[Process], list[str]]


@pytest.fixture
def cluster() -> dict[str, Any]:
    """Server and token of the kubeconfig's user."""
    config = yaml.safe_load(Path(_KUBECONFIG).read_text(encoding="utf-8"))
    return {
        "server": config["clusters"][0]["cluster"]["server"],
        "token": config["users"][0]["user"]["token"],
    }


@pytest.fixture
def namespace(cluster: dict[str, Any]) -> Iterator[str]:
    """A namespace of the test's own."""
    name = f"faults-{uuid.uuid4().hex[:8]}"
    headers = {"Authorization": f"Bearer {cluster['token']}"}
    with httpx.Client(base_url=cluster["server"], verify=False, headers=headers) as http:
        http.post("/api/v1/namespaces", json={"metadata": {"name": name}}).raise_for_status()
        yield name
        http.delete(f"/api/v1/namespaces/{name}")


@pytest.fixture
def parts(cluster: dict[str, Any], namespace: str, tmp_path: Path) -> Iterator[Parts]:
    """An operator, two gateways, and the gateways' URLs."""
    settings = {"watchNamespaces": [namespace], "metricsPort": _free_port(), "livenessPort": _free_port()}
    (tmp_path / "operator.yaml").write_text(yaml.safe_dump(settings), encoding="utf-8")
    running = [Process("operator", MODELYARD_CONFIG=str(tmp_path / "operator.yaml"), KUBECONFIG=_KUBECONFIG)]
    urls = []
    for number in range(2):
        port = _free_port()
        gateway = {"apiServer": cluster["server"], "insecure": True, "host": "127.0.0.1", "port": port}
        file = tmp_path / f"gateway-{number}.yaml"
        file.write_text(yaml.safe_dump(gateway), encoding="utf-8")
        running.append(Process("gateway", MODELYARD_GATEWAY_CONFIG=str(file)))
        urls.append(f"http://127.0.0.1:{port}")
    yield running, urls
    for process in running:
        process.kill()


async def _kill(parts: list[Process], until: asyncio.Event) -> None:
    operator, *gateways = parts
    while not until.is_set():
        await asyncio.sleep(random.uniform(0.5, 3))
        process = operator if random.random() < 0.25 else random.choice(gateways)
        process.kill()
        process.start()


async def _client(
    http: httpx.AsyncClient, urls: list[str], until: asyncio.Event, sent: set[str], answered: dict[str, Any]
) -> None:
    while not until.is_set():
        url = f"https://example.com/{uuid.uuid4()}"
        body = {"name": random.choice(_NAMES), "url": url, "mimeType": "text/plain"}
        sent.add(url)
        with contextlib.suppress(httpx.HTTPError):
            answer = await http.post(f"{random.choice(urls)}/models", json=body)
            if answer.status_code == 200:
                answered[url] = answer.json()
        await asyncio.sleep(0.05)


async def test_killed_at_random_points(parts: Parts, cluster: dict[str, Any], namespace: str) -> None:
    running, gateways = parts
    urls = [f"{url}/api/subscriptions/-/resourceGroups/-/accounts/{namespace}" for url in gateways]
    sent: set[str] = set()
    answered: dict[str, Any] = {}
    until = asyncio.Event()
    headers = {"Authorization": f"Bearer {cluster['token']}"}
    async with httpx.AsyncClient(headers=headers, params=_QUERY, timeout=20) as http:
        killing = asyncio.create_task(_kill(running, until))
        clients = [asyncio.create_task(_client(http, urls, until, sent, answered)) for _ in range(_CLIENTS)]
        await asyncio.sleep(_SECONDS)
        until.set()
        await asyncio.gather(killing, *clients)
        listed = await _settled(http, urls[0])
    registered = [item["url"] for item in listed]
    assert len(registered) == len(set(registered)), "one came twice"
    assert set(registered) <= sent
    by_id = {item["id"]: item for item in listed}
    assert all(by_id.get(item["id"]) == item for item in answered.values()), "one that was answered is lost"
    assert len(answered) > 20
    assert all(process.kills for process in running)


async def _settled(http: httpx.AsyncClient, url: str) -> list[Any]:
    """All models when nothing more comes."""
    before: list[Any] | None = None
    while True:
        await asyncio.sleep(3)
        with contextlib.suppress(httpx.HTTPError):
            answer = await http.get(f"{url}/models", params={"count": 1000})
            listed: list[Any] = answer.json()["value"]
            if listed == before:
                return listed
            before = listed
