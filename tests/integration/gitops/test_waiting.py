"""At no moment does all look healthy before the Service serves what git says."""

from __future__ import annotations

import copy
import random
from collections.abc import Callable
from typing import Final

import pytest
from tests.integration.gitops.conftest import Health, Healths
from tests.unit.operator_harness import (
    World,
    everything,
)

from modelyard.kube.types import CUSTOM_RESOURCES, Json
from modelyard.settings import OperatorSettings

GOOD: Final = Health("Current", "Healthy")
KINDS: Final = tuple(CUSTOM_RESOURCES)
Edit = Callable[[World], None]


def create(world: World) -> None:
    world.apply(*world.cluster.schedule.sample(everything(), 4))  # type: ignore[union-attr]


def change_model(world: World) -> None:
    world.change("Model", url="https://h/2")


def change_model_back(world: World) -> None:
    """To one whose image the registry has."""
    world.change("Model", url="https://h/1")


def change_driver(world: World) -> None:
    world.change("Manifest", assets=[{"id": "driver", "content": "def run(body): return 2"}])


def change_service(world: World) -> None:
    world.change("Service", maxConcurrentRequestsPerContainer=2)


EDITS: Final[tuple[Edit, ...]] = (create, change_model, change_model_back, change_driver, change_service)


@pytest.mark.parametrize("seed", range(20))
async def test_what_is_healthy_is_served(seed: int, healths: Healths) -> None:
    schedule = random.Random(seed)
    world = World(OperatorSettings(workers=schedule.randint(1, 4)), schedule)
    await world.start()
    for edit in EDITS:
        edit(world)
        moments = [_all(world)]
        applied = len(world.cluster.history)
        await world.play()
        for event in world.cluster.history[applied:]:
            if event.resource in CUSTOM_RESOURCES.values():
                moments.append(moments[-1] | {event.body["kind"]: event.body})
        _check(edit, moments, healths)
    await world.stop()


def _all(world: World) -> dict[str, Json]:
    return {kind: copy.deepcopy(world.cluster.at(CUSTOM_RESOURCES[kind], "m")) for kind in KINDS}


def _check(edit: Edit, moments: list[dict[str, Json]], healths: Healths) -> None:
    said = healths(moment[kind] for moment in moments for kind in KINDS)
    served = moments[-1]["Service"]["status"]["id"]
    well = [set(said[at : at + len(KINDS)]) == {GOOD} for at in range(0, len(said), len(KINDS))]
    assert well[-1]
    assert not well[0]
    for moment, is_well in zip(moments, well, strict=True):
        assert not is_well or moment["Service"]["status"]["id"] == served, edit.__name__
