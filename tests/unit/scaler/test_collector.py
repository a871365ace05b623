"""The collector of the replicas' load."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
from tests.unit.scaler.objects import pod, service

from modelyard.api.resources import CUSTOM_RESOURCES
from modelyard.kube.types import PODS
from modelyard.replica_client.load import Load
from modelyard.scaler.collector import Collector
from modelyard.scaler.load_client import LoadError
from modelyard.scaler.replicas import Replica, Replicas

IDLE = Load(running=0, waiting=0, places=1, requests=0, ready=True)


class FakeClient:
    """Replicas by address, with the requests to them."""

    def __init__(self) -> None:
        self.requests: list[str] = []
        self.old: set[str] = set()
        """Addresses without GET /load."""
        self.silent: set[str] = set()

    async def read(self, address: str) -> Load | None:
        self.requests.append(f"{address}/load")
        await asyncio.sleep(0)
        if address in self.silent:
            raise LoadError("no answer")
        return None if address in self.old else IDLE

    async def read_metrics(self, address: str) -> Load:
        self.requests.append(f"{address}/metrics")
        await asyncio.sleep(0)
        return IDLE


class Harness:
    """A collector whose time passes by its own pauses."""

    def __init__(self) -> None:
        self.client = FakeClient()
        self.now = 0.0
        self.pauses: list[float] = []
        self.turns = asyncio.Semaphore(0)
        self.collector = Collector(
            self.client, sleep=self._sleep, monotonic=lambda: self.now, now=lambda: self.now
        )
        self.replicas = Replicas(lambda spec: spec.scales_on_requests, self.collector.on_replica)
        self.replicas.on_service(CUSTOM_RESOURCES["Service"], service(), deleted=False)

    def add(self, ip: str = "10.0.0.1") -> Replica:
        self.replicas.on_pod(PODS, pod(ip=ip), deleted=False)
        return next(self.replicas.asked())

    async def _sleep(self, seconds: float) -> None:
        self.pauses.append(seconds)
        await self.turns.acquire()

    async def turn(self) -> None:
        """Let each replica be asked once more."""
        self.turns.release()
        for _ in range(10):
            await asyncio.sleep(0)


@pytest.fixture
async def harness() -> AsyncIterator[Harness]:
    harness = Harness()
    yield harness
    await harness.collector.close()


async def test_replica_is_asked_at_the_period_of_its_service(harness: Harness) -> None:
    replica = harness.add()
    await harness.turn()
    replica.period_seconds = 30.0
    await harness.turn()
    assert harness.client.requests == ["10.0.0.1/load"] * 3
    assert 0.9 <= harness.pauses[0] <= 1.1
    assert 27 <= harness.pauses[-1] <= 33
    assert harness.collector.has_figures(replica)


async def test_image_without_the_path_is_asked_for_its_metrics(harness: Harness) -> None:
    harness.client.old.add("10.0.0.1")
    replica = harness.add()
    await harness.turn()
    assert harness.client.requests == ["10.0.0.1/load", "10.0.0.1/metrics", "10.0.0.1/metrics"]
    assert replica.figures.latest == IDLE


async def test_silent_replica_is_asked_less_often(harness: Harness) -> None:
    harness.client.silent.add("10.0.0.1")
    replica = harness.add()
    for _ in range(6):
        await harness.turn()
    assert harness.pauses[-1] >= 15
    assert not harness.collector.has_figures(replica)
    harness.client.silent.clear()
    await harness.turn()
    assert harness.collector.has_figures(replica)
    assert harness.pauses[-1] <= 1.1


async def test_old_figures_are_none(harness: Harness) -> None:
    replica = harness.add()
    await harness.turn()
    harness.now = 15.0
    assert harness.collector.has_figures(replica)
    assert harness.collector.oldest_seconds() == 15.0
    harness.now = 15.1
    assert not harness.collector.has_figures(replica)
    replica.period_seconds = 10.0
    assert harness.collector.has_figures(replica)


async def test_removed_replica_is_not_asked_any_more(harness: Harness) -> None:
    harness.add()
    await harness.turn()
    assert harness.collector.replicas == 1
    harness.replicas.on_pod(PODS, pod(), deleted=True)
    asked = len(harness.client.requests)
    await harness.turn()
    assert (harness.collector.replicas, len(harness.client.requests)) == (0, asked)
    assert harness.collector.oldest_seconds() == 0
