"""Never are all objects healthy before the Service serves the content of git."""

from __future__ import annotations

import copy
import random
from collections.abc import Callable
from typing import Final

import pytest
from tests.integration.gitops.conftest import Health, Healths
from tests.unit.operator_harness import (
    OperatorHarness,
    sample_objects,
)

from modelyard.api.resources import CUSTOM_RESOURCES
from modelyard.kube.types import Json
from modelyard.settings import OperatorSettings

GOOD: Final = Health("Current", "Healthy")
KINDS: Final = tuple(CUSTOM_RESOURCES)
Edit = Callable[[OperatorHarness], None]


def create(harness: OperatorHarness) -> None:
    harness.apply(*harness.cluster.schedule.sample(sample_objects(), 4))  # type: ignore[union-attr]


def change_model(harness: OperatorHarness) -> None:
    harness.change("Model", url="https://h/2")


def change_model_back(harness: OperatorHarness) -> None:
    """Change the Model to content whose image the registry has."""
    harness.change("Model", url="https://h/1")


def change_driver(harness: OperatorHarness) -> None:
    harness.change("Manifest", assets=[{"id": "driver", "content": "def run(body): return 2"}])


def change_service(harness: OperatorHarness) -> None:
    harness.change("Service", maxConcurrentRequestsPerContainer=2)


EDITS: Final[tuple[Edit, ...]] = (create, change_model, change_model_back, change_driver, change_service)


@pytest.mark.parametrize("seed", range(20))
async def test_healthy_objects_are_served(seed: int, healths: Healths) -> None:
    schedule = random.Random(seed)
    harness = OperatorHarness(OperatorSettings(workers=schedule.randint(1, 4)), schedule)
    await harness.start()
    for edit in EDITS:
        edit(harness)
        moments = [_all(harness)]
        applied = len(harness.cluster.history)
        await harness.play()
        for event in harness.cluster.history[applied:]:
            if event.resource in CUSTOM_RESOURCES.values():
                moments.append(moments[-1] | {event.body["kind"]: event.body})
        _check(edit, moments, healths)
    await harness.stop()


def _all(harness: OperatorHarness) -> dict[str, Json]:
    return {kind: copy.deepcopy(harness.cluster.at(CUSTOM_RESOURCES[kind], "m")) for kind in KINDS}


def _check(edit: Edit, moments: list[dict[str, Json]], healths: Healths) -> None:
    health = healths(moment[kind] for moment in moments for kind in KINDS)
    served = moments[-1]["Service"]["status"]["id"]
    is_healthy = [set(health[at : at + len(KINDS)]) == {GOOD} for at in range(0, len(health), len(KINDS))]
    assert is_healthy[-1]
    assert not is_healthy[0]
    for moment, healthy in zip(moments, is_healthy, strict=True):
        assert not healthy or moment["Service"]["status"]["id"] == served, edit.__name__
