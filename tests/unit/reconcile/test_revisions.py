"""Versions: one for each change of content, recorded once."""

from __future__ import annotations

import pytest
from tests.unit.fake_api_server import (
    Call,
    Killed,
)
from tests.unit.operator_harness import (
    OperatorHarness,
    manifest,
    model,
)

from modelyard.api import labels
from modelyard.api.crd import UNOBSERVED_STATUS
from modelyard.api.names import REGISTRATION
from modelyard.api.owners import Owner
from modelyard.api.resources import CUSTOM_RESOURCES
from modelyard.kube.types import REVISIONS, Json
from modelyard.resources.revision import controller_revision


def registration(value: str) -> Json:
    return model() | {"metadata": {"name": "m", "annotations": {REGISTRATION: value}}}


def names(harness: OperatorHarness) -> list[str]:
    return sorted(body["metadata"]["name"] for body in harness.cluster.all(REVISIONS))


@pytest.mark.parametrize(
    ("changed", "version"),
    [
        (model(), 1),
        (model(description="for people", tags=["a", "b"]), 1),
        (model(unpack=False), 1),
        (model() | {"metadata": {"name": "m", "annotations": {"other": "x"}, "labels": {"a": "b"}}}, 1),
        (model(url="https://h/2"), 2),
        (model(mimeType="text/plain"), 2),
        (model(unpack=True), 2),
        (model() | {"spec": model()["spec"] | {"name": "Model_1.pkl"}}, 2),
        (model(secretRef={"name": "s"}), 2),
        (registration("1"), 2),
        (registration(""), 2),
    ],
    ids=str,
)
async def test_change_of_content_creates_a_version(
    harness: OperatorHarness, changed: Json, version: int
) -> None:
    harness.apply(model())
    await harness.play()
    harness.apply(changed)
    await harness.play()
    assert harness.summary("Model") == (f"m:{version}", "Succeeded", "Registered")
    assert names(harness) == [f"model-m-{number}" for number in range(1, version + 1)]
    body = harness.cluster.at(CUSTOM_RESOURCES["Model"], "m")
    assert harness.status("Model")["observedGeneration"] == body["metadata"]["generation"]


async def test_revert_creates_a_version_with_the_old_content(harness: OperatorHarness) -> None:
    for url in ("https://h/1", "https://h/2", "https://h/1"):
        harness.apply(model(url=url))
        await harness.play()
    first, second, third = (harness.cluster.at(REVISIONS, f"model-m-{n}") for n in (1, 2, 3))
    assert first["data"] == third["data"] != second["data"]
    assert harness.summary("Model")[0] == "m:3"


async def test_each_new_registration_creates_a_version(harness: OperatorHarness) -> None:
    for value in ("1", "2", "2", "1"):
        harness.apply(registration(value))
        await harness.play()
    assert harness.summary("Model")[0] == "m:3"


async def test_revision_has_its_owner_and_the_state_of_its_operation(harness: OperatorHarness) -> None:
    harness.apply(model())
    await harness.play()
    body = harness.cluster.at(REVISIONS, "model-m-1")
    (owner,) = body["metadata"]["ownerReferences"]
    assert owner["uid"] == harness.cluster.at(CUSTOM_RESOURCES["Model"], "m")["metadata"]["uid"]
    assert body["revision"] == 1
    assert body["data"] == {"url": "https://h/1", "mimeType": "application/octet-stream"}
    assert harness.revision_annotations("Model", 1) == {"state": "Succeeded", "ended": "2026-01-01T00:00:00Z"}
    assert harness.status("Model")["operationId"] == "model-m-1"


async def test_operator_killed_between_two_versions_goes_on(serving: OperatorHarness) -> None:
    def kill(_: int, call: Call) -> None:
        if call == Call("create", "controllerrevisions", "service-m-2"):
            serving.cluster.dead = True
            raise Killed

    serving.cluster.fault = kill
    serving.change("Service", numReplicas=2)
    with pytest.raises(Killed):
        await serving.play()
    await serving.stop()
    assert serving.revision_annotations("Service", 1)["state"] == "Succeeded"
    serving.cluster.fault = lambda number, call: None
    await serving.start()
    await serving.play()
    assert serving.summary("Service") == ("m:2", "Succeeded", "Serving")


@pytest.mark.parametrize(("content", "version"), [("https://h/1", 1), ("https://h/other", 2)])
async def test_version_of_another_writer_is_accepted_or_superseded(
    harness: OperatorHarness, content: str, version: int
) -> None:
    """The revision of a faster operator is accepted; other content becomes the next version."""

    def overtake(_: int, call: Call) -> None:
        if call == Call("create", "controllerrevisions", "model-m-1"):
            harness.cluster.fault = lambda number, call: None
            uid = harness.cluster.at(CUSTOM_RESOURCES["Model"], "m")["metadata"]["uid"]
            data = {"url": content, "mimeType": "application/octet-stream"}
            body = controller_revision(
                Owner("Model", "m", uid), 1, data, {"modelyard.dev/state": "Succeeded"}
            )
            harness.cluster.put(REVISIONS, "default", body)

    harness.cluster.fault = overtake
    harness.apply(model())
    await harness.play()
    assert harness.summary("Model")[0] == f"m:{version}"
    assert harness.cluster.at(REVISIONS, f"model-m-{version}")["data"]["url"] == "https://h/1"


async def test_revision_of_a_deleted_object_delays_its_successor(harness: OperatorHarness) -> None:
    harness.apply(model())
    await harness.play()
    harness.cluster.collects = False
    harness.cluster.remove(CUSTOM_RESOURCES["Model"], "default", "m")
    harness.apply(model(url="https://h/2"))
    await harness.play(seconds=10)
    assert harness.status("Model") == UNOBSERVED_STATUS
    harness.cluster.remove(REVISIONS, "default", "model-m-1")
    await harness.play()
    assert harness.summary("Model")[0] == "m:1"
    assert harness.cluster.at(REVISIONS, "model-m-1")["data"]["url"] == "https://h/2"


async def test_pinned_reference_skips_versions_of_a_deleted_object(harness: OperatorHarness) -> None:
    for url in ("https://h/1", "https://h/2"):
        harness.apply(model(url=url))
        await harness.play()
    harness.cluster.collects = False
    harness.cluster.remove(CUSTOM_RESOURCES["Model"], "default", "m")
    harness.cluster.remove(REVISIONS, "default", "model-m-1")
    harness.apply(model(url="https://h/3"), manifest(modelIds=["m:2"]))
    await harness.play()
    assert harness.summary("Manifest") == ("", "NotStarted", "ModelNotFound")


async def test_deleted_revision_is_created_again(harness: OperatorHarness) -> None:
    harness.apply(model())
    await harness.play()
    harness.cluster.remove(REVISIONS, "default", "model-m-1")
    await harness.play()
    assert names(harness) == ["model-m-1"]


async def test_each_version_records_its_description_and_tags(harness: OperatorHarness) -> None:
    for spec in ({"description": "first", "tags": ["a"]}, {"description": "again"}, {"url": "https://h/2"}):
        harness.apply(model(**spec))
        await harness.play()
    first, second = (harness.cluster.at(REVISIONS, f"model-m-{n}")["metadata"]["annotations"] for n in (1, 2))
    assert first[labels.ABOUT] == '{"description":"again"}'
    assert labels.ABOUT not in second


async def test_cached_object_older_than_the_newest_version_creates_no_version(
    harness: OperatorHarness,
) -> None:
    """Another operator recorded version 2, and its event arrives before that of the object."""
    harness.apply(model())
    await harness.play()
    await harness.kopf.stop()
    harness.change("Model", url="https://h/2")
    changed = harness.cluster.at(CUSTOM_RESOURCES["Model"], "m")
    content = {"url": "https://h/2", "mimeType": "application/octet-stream"}
    owner = Owner("Model", "m", changed["metadata"]["uid"])
    harness.cluster.put(REVISIONS, "default", controller_revision(owner, 2, content, {}))
    await harness.play()
    assert names(harness) == ["model-m-1", "model-m-2"]
    assert harness.summary("Model") == ("m:2", "Succeeded", "Registered")


async def test_object_changed_before_its_last_version_was_recorded_gets_the_next_one(
    harness: OperatorHarness,
) -> None:
    """The change has a lower resourceVersion than version 1: one read shows that the object is current."""
    changes = iter(["https://h/2"])

    def change(_: int, call: Call) -> None:
        if call == Call("create", "controllerrevisions", "model-m-1"):
            for url in changes:
                harness.change("Model", url=url)

    harness.cluster.fault = change
    harness.apply(model())
    await harness.play()
    assert names(harness) == ["model-m-1", "model-m-2"]
    assert harness.summary("Model") == ("m:2", "Succeeded", "Registered")
