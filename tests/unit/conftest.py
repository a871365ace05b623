"""Fixtures that tests of several rooms share."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import pytest
from tests.support.web_server import WebServer
from tests.unit.operator_harness import (
    World,
    everything,
)

from modelyard.retry import Retry


@pytest.fixture
async def world() -> AsyncIterator[World]:
    """An operator in an empty cluster."""
    world = World()
    await world.start()
    yield world
    await world.stop()


@pytest.fixture
async def serving(world: World) -> World:
    """An operator in whose cluster everything named m is served."""
    world.apply(*everything())
    await world.play()
    assert world.said("Service") == ("m:1", "Succeeded", "Serving")
    return world


@pytest.fixture
def web() -> Iterator[WebServer]:
    server = WebServer()
    yield server
    server.stop()


@pytest.fixture
def other_web() -> Iterator[WebServer]:
    server = WebServer()
    yield server
    server.stop()


@pytest.fixture
def waits() -> list[float]:
    """Seconds that were waited before tries."""
    return []


@pytest.fixture
def retry(waits: list[float]) -> Retry:
    return Retry(attempts=4, sleep=waits.append)
