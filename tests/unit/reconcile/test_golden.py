"""Upgrade from release 0.2.0: its records, hashes and pod templates, in a golden file, stay as they are.

Release 0.2.0 wrote the file's objects in the tests' cluster: three Services of one Image with two Models,
after one change. A later release must not change the file.
"""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Final

import orjson
import pytest
from tests.unit.operator_harness import OperatorHarness

from modelyard.api.resources import CUSTOM_RESOURCES
from modelyard.kube.types import (
    AUTOSCALERS,
    CONFIG_MAPS,
    CORE_SERVICES,
    DEPLOYMENTS,
    DISRUPTION_BUDGETS,
    EVENTS,
    REVISIONS,
    SECRETS,
    Json,
)
from modelyard.settings import OperatorSettings, ScoringSettings

GOLDEN: Final = orjson.loads((Path(__file__).parent / "golden" / "release_0_2_0.json").read_bytes())
RESOURCES: Final = (
    *CUSTOM_RESOURCES.values(),
    AUTOSCALERS,
    CONFIG_MAPS,
    CORE_SERVICES,
    DEPLOYMENTS,
    DISRUPTION_BUDGETS,
    REVISIONS,
    SECRETS,
)
TYPES: Final = {(found["apiVersion"], found["kind"]): item for item in RESOURCES if (found := item.header())}


def restore(harness: OperatorHarness) -> None:
    """Put the objects of the file into the cluster, with their UIDs, generations and status."""
    harness.cluster.collects = False
    for _, golden in GOLDEN["objects"]:
        body: Json = copy.deepcopy(golden)
        resource = TYPES[body["apiVersion"], body["kind"]]
        stored = harness.cluster.put(resource, "default", body)
        version = stored["metadata"]["resourceVersion"]
        stored.update(copy.deepcopy(golden))
        stored["metadata"]["resourceVersion"] = version
        if resource is REVISIONS:
            harness.cluster.write_legacy_data(stored)
    harness.registry.images |= GOLDEN["images"]


def writes(harness: OperatorHarness, start: int) -> list[tuple[str, str, str]]:
    """Return the writes of the operator since a call, but for Kubernetes events."""
    calls = harness.cluster.calls[start:]
    changing = {"create", "patch", "delete", "update"}
    return [(c.verb, c.resource, c.name) for c in calls if c.verb in changing and c.resource != EVENTS.plural]


def templates(harness: OperatorHarness) -> dict[str, tuple[int, Json]]:
    """Return generation and pod template of each Deployment."""
    deployments = {body["metadata"]["name"]: body for body in harness.cluster.all(DEPLOYMENTS)}
    return {
        name: (body["metadata"]["generation"], body["spec"]["template"]) for name, body in deployments.items()
    }


def revision_count(harness: OperatorHarness) -> int:
    return len(harness.cluster.all(REVISIONS))


@pytest.mark.parametrize("drain_seconds", [30, 40], ids=["same_settings", "other_settings"])
async def test_upgrade_makes_no_version_build_or_roll(drain_seconds: int) -> None:
    harness = OperatorHarness(OperatorSettings(scoring=ScoringSettings(drain_seconds=drain_seconds)))
    restore(harness)
    before, count = templates(harness), revision_count(harness)
    await harness.start()
    await harness.play()
    assert (templates(harness), revision_count(harness), harness.builds) == (before, count, 0)
    assert [harness.summary("Service", name)[1:] for name in ("m", "scaled", "pinned")] == [
        ("Succeeded", "Serving")
    ] * 3
    await harness.stop()
    start = len(harness.cluster.calls)
    await harness.start()
    await harness.play()
    assert writes(harness, start) == []
    await harness.stop()
