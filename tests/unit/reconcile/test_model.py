"""Models: each version is registered at once."""

from __future__ import annotations

from tests.unit.operator_harness import (
    OperatorHarness,
    sample_objects,
)

from modelyard.kube.types import (
    REVISIONS,
)


async def test_taken_name_of_a_revision_fails_the_model_until_it_is_free(harness: OperatorHarness) -> None:
    taken = {"metadata": {"name": "model-m-1"}, "revision": 1, "data": {}}
    await harness.cluster.create(REVISIONS, "default", taken)
    harness.apply(*sample_objects())
    await harness.play(seconds=10)
    assert harness.summary("Model") == ("", "Failed", "NameTaken")
    harness.cluster.remove(REVISIONS, "default", "model-m-1")
    await harness.play(seconds=60)
    assert harness.summary("Model") == ("m:1", "Succeeded", "Registered")
