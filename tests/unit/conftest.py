"""Fixtures of the operator's tests."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from tests.unit.world import World, everything


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
