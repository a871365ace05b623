"""Versions of a release with other defaults, or with another form of a value: no version, build or roll."""

from __future__ import annotations

import pytest
from tests.unit.operator_harness import OperatorHarness, image, manifest, model, service

from modelyard.api.names import REGISTRATION
from modelyard.kube.types import DEPLOYMENTS, REVISIONS, Json

# Field of a Model whose present default is false, and that an older release recorded in the other way.
WRITTEN = (model(), {"unpack": False})
OMITTED = (model(unpack=True), {"unpack": None})


async def rewrite(harness: OperatorHarness, kind: str, change: Json) -> None:
    """Let the operator of another release have recorded version 1, and start the present one."""
    await harness.stop()
    body = harness.cluster.at(REVISIONS, f"{kind}-m-1")
    data = {key: value for key, value in (body["data"] | change).items() if value is not None}
    harness.cluster.write_legacy_data(body | {"data": data})
    await harness.start()
    await harness.play()


def reads(harness: OperatorHarness, name: str) -> int:
    return sum(call[:3] == ("get", REVISIONS.plural, name) for call in harness.cluster.calls)


@pytest.mark.parametrize(("body", "change"), [WRITTEN, OMITTED], ids=["written", "omitted"])
async def test_version_of_a_release_with_another_default_is_compared_by_the_present_types(
    harness: OperatorHarness, body: Json, change: Json
) -> None:
    harness.apply(body)
    await harness.play()
    await rewrite(harness, "model", change)
    harness.apply(manifest(), image(), service())
    await harness.play()
    await harness.stop()
    writes, read = len(harness.cluster.writes), reads(harness, "model-m-1")
    await harness.start()
    await harness.play(seconds=3600)
    assert [harness.status(kind)["id"] for kind in ("Model", "Manifest", "Image", "Service")] == ["m:1"] * 4
    assert harness.builds == 1
    assert len(harness.cluster.writes) == writes
    assert reads(harness, "model-m-1") - read == 1


async def test_service_of_a_release_with_another_default_is_not_rolled(serving: OperatorHarness) -> None:
    before = serving.cluster.at(DEPLOYMENTS, "m")
    await rewrite(serving, "service", {"maxConcurrentRequestsPerContainer": 1})
    assert serving.summary("Service") == ("m:1", "Succeeded", "Serving")
    assert serving.cluster.at(DEPLOYMENTS, "m") == before


@pytest.mark.parametrize(("body", "change"), [WRITTEN, OMITTED], ids=["written", "omitted"])
@pytest.mark.parametrize(
    "metadata",
    [{}, {"annotations": {REGISTRATION: "again"}}],
    ids=["other spec", "other registration"],
)
async def test_change_after_an_upgrade_makes_a_version(
    harness: OperatorHarness, body: Json, change: Json, metadata: Json
) -> None:
    harness.apply(body)
    await harness.play()
    await rewrite(harness, "model", change)
    spec = body["spec"] if metadata else body["spec"] | {"url": "https://h/2"}
    harness.apply(body | {"metadata": body["metadata"] | metadata, "spec": spec})
    await harness.play()
    assert harness.summary("Model") == ("m:2", "Succeeded", "Registered")


async def test_spec_that_changed_while_the_operator_was_away_makes_a_version(
    harness: OperatorHarness,
) -> None:
    """The version leaves out the changed field, as an older release with another default would."""
    harness.apply(model())
    await harness.play()
    await harness.stop()
    harness.change("Model", unpack=True)
    await harness.start()
    await harness.play()
    assert harness.summary("Model") == ("m:2", "Succeeded", "Registered")


async def test_manifest_that_follows_another_version_makes_a_version_after_an_upgrade(
    harness: OperatorHarness,
) -> None:
    harness.apply(model(), manifest())
    await harness.play()
    await rewrite(harness, "manifest", {"driverProgram": "driver"})
    harness.change("Model", url="https://h/2")
    await harness.play()
    assert harness.summary("Manifest") == ("m:2", "Succeeded", "Created")
