"""The readiness gate: an object is not ready before its dependents follow its newest version."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest
from tests.unit.fake_api_server import Call
from tests.unit.operator_harness import (
    OperatorHarness,
    image,
    manifest,
    model,
    service,
    succeed,
)
from tests.unit.reconcile.test_image import failing
from tests.unit.reconcile.test_repeated_rollouts import LATE

from modelyard.api import labels
from modelyard.api.owners import Owner, owner_reference
from modelyard.api.resources import CUSTOM_RESOURCES
from modelyard.api.revision import Revision, content_hash
from modelyard.api.status import State
from modelyard.kube.errors import Unavailable
from modelyard.kube.types import DEPLOYMENTS, Json, Key
from modelyard.reconcile.cache import Cache
from modelyard.reconcile.objects import CustomObject
from modelyard.reconcile.outcome import Outcome, failed
from modelyard.reconcile.readiness import gate_readiness

SECOND = Revision(Key("Model", "default", "m"), 2, "u", 1, "", "", (), {})
MODEL = model()
MODEL["metadata"] |= {"namespace": "default", "uid": "u", "generation": 1, "resourceVersion": "1"}
REGISTERED = Outcome(State.SUCCEEDED, "Registered", "m:2 is registered", SECOND)


def dependent(refers: str, in_status: str, ready: str = "True", **metadata: Any) -> Json:
    named = {"name": "f", "namespace": "default", "uid": "v", "generation": 1, "resourceVersion": "5"}
    status = {"version": 1, "modelIds": [in_status], "conditions": [{"type": "Ready", "status": ready}]}
    return manifest(modelIds=[refers]) | {"metadata": named | metadata, "status": status}


def gated(body: Json, outcome: Outcome = REGISTERED) -> Outcome:
    cache = Cache()
    cache.objects.put("Manifest", body)
    return gate_readiness(cache, CustomObject.read("Model", MODEL), outcome)


def test_object_is_not_ready_while_a_dependent_lags() -> None:
    outcome = gated(dependent("m", "m:1"))
    assert (outcome.state, outcome.ready) == (State.SUCCEEDED, False)
    assert outcome.message == "m:2 is registered; Manifest f has yet to follow"
    assert outcome.requeue_after


@pytest.mark.parametrize(
    "body",
    [
        dependent("m", "m:2"),
        dependent("m:1", "m:1"),
        dependent("other", "other:1"),
        dependent("m", "m:1", ready="False"),
        dependent("m", "m:1", deletionTimestamp="2026-01-01T00:00:00Z"),
    ],
    ids=["followed", "pinned", "follows another Model", "not ready", "being deleted"],
)
def test_object_is_ready_despite_this_dependent(body: Json) -> None:
    assert gated(body) == REGISTERED


@pytest.mark.parametrize(("before", "in_flight"), [("False", "True"), ("True", "False")])
def test_object_is_not_ready_while_a_dependent_may_be_ready_before_or_after_a_write(
    before: str, in_flight: str
) -> None:
    cache = Cache()
    cache.objects.put("Manifest", dependent("m", "m:1", ready=before))
    status = dependent("m", "m:1", ready=in_flight)["status"]
    with cache.pending_writes.writing_status(Key("Manifest", "default", "f"), status):
        outcome = gate_readiness(cache, CustomObject.read("Model", MODEL), REGISTERED)
    assert not outcome.ready


def test_object_is_not_ready_while_the_status_of_a_dependent_names_a_version_of_other_content() -> None:
    """The dependent has recorded its next version, and its status has yet to be written."""
    cache = Cache()
    second = dataclasses.replace(SECOND, content_hash=content_hash({"url": "new"}))
    cache.objects.put("Manifest", dependent("m", "m:2"))
    for version, url in ((1, "old"), (2, "new")):
        hashes = {labels.REFERENCED: content_hash({"url": url})}
        cache.revisions.put(revision_of("Manifest", version, {"modelIds": ["m:2"]}, "v", **hashes))
    registered = Outcome(State.SUCCEEDED, "Registered", "m:2 is registered", second)
    assert not gate_readiness(cache, CustomObject.read("Model", MODEL), registered).ready


def revision_of(kind: str, version: int, data: Json, uid: str = "u", **annotations: str) -> Json:
    name = "m" if kind == "Model" else "f"
    return {
        "metadata": {
            "name": f"{kind.lower()}-{name}-{version}",
            "namespace": "default",
            "resourceVersion": "7",
            "creationTimestamp": "2026-01-01T00:00:00Z",
            "annotations": annotations,
            "ownerReferences": [owner_reference(Owner(kind, name, uid))],
        },
        "revision": version,
        "data": data,
    }


@pytest.mark.parametrize(
    ("reference", "recorded", "version"),
    [("m", "m:1", 2), ("m", "m:1", 1), ("m:1", "m:1", 1)],
    ids=["newer version", "other content", "other content of a pinned version"],
)
def test_object_is_not_ready_after_a_reference_changed_during_its_reconcile(
    reference: str, recorded: str, version: int
) -> None:
    cache, follower = Cache(), dependent(reference, recorded, ready="False")
    cache.objects.put("Model", MODEL)
    cache.objects.put("Manifest", follower)
    cache.revisions.put(revision_of("Model", version, MODEL["spec"]))
    hashes = {labels.REFERENCED: content_hash({"url": "https://h/old"})}
    revision = Revision.read(revision_of("Manifest", 1, {"modelIds": [recorded]}, "v", **hashes))
    created = Outcome(State.SUCCEEDED, "Created", "f:1 is created", revision)
    outcome = gate_readiness(cache, CustomObject.read("Manifest", follower), created)
    assert (outcome.ready, outcome.message) == (
        False,
        f"f:1 is created; Model m:{version} has yet to be followed",
    )


@pytest.mark.parametrize(
    "owner", [None, "deleted"], ids=["without versions", "with versions of a deleted one"]
)
def test_object_is_not_ready_without_the_version_that_it_refers_to(owner: str | None) -> None:
    cache, follower = Cache(), dependent("m:1", "m:1", ready="False")
    cache.objects.put("Model", MODEL)
    cache.objects.put("Manifest", follower)
    cache.revisions.put(revision_of("Model", 2, MODEL["spec"]))
    if owner:
        cache.revisions.put(revision_of("Model", 1, MODEL["spec"], owner))
    revision = Revision.read(revision_of("Manifest", 1, {"modelIds": ["m:1"]}, "v"))
    created = Outcome(State.SUCCEEDED, "Created", "f:1 is created", revision)
    outcome = gate_readiness(cache, CustomObject.read("Manifest", follower), created)
    assert not outcome.ready
    assert outcome.message.startswith("f:1 is created; waiting for Model m:1: the newest version is 2")


def test_version_of_a_deleted_dependent_of_the_same_name_does_not_count() -> None:
    cache = Cache()
    cache.objects.put("Manifest", dependent("m", "m:2"))
    hashes = {labels.REFERENCED: content_hash({"url": "old"})}
    cache.revisions.put(revision_of("Manifest", 1, {"modelIds": ["m:2"]}, "deleted", **hashes))
    second = dataclasses.replace(SECOND, content_hash=content_hash({"url": "new"}))
    registered = Outcome(State.SUCCEEDED, "Registered", "m:2 is registered", second)
    assert gate_readiness(cache, CustomObject.read("Model", MODEL), registered).ready


def test_failure_is_not_held_back() -> None:
    outcome = failed("NameTaken", "why", SECOND)
    assert gated(dependent("m", "m:1"), outcome) == outcome


async def test_all_objects_of_a_change_become_ready(serving: OperatorHarness) -> None:
    serving.change("Model", url="https://h/2")
    await serving.play()
    said = [
        condition["message"]
        for event in serving.cluster.history
        for condition in event.body.get("status", {}).get("conditions", ())
        if event.resource == CUSTOM_RESOURCES["Model"]
        and condition["type"] == "Reconciling"
        and condition["status"] == "True"
    ]
    assert said == ["m:2 is registered; Manifest m has yet to follow"]
    for kind in CUSTOM_RESOURCES:
        assert serving.condition(kind, "Ready")["status"] == "True"


BAD = manifest(targetRuntime={"runtimeType": "Python", "properties": {"pipRequirements": "absent==9"}})


@pytest.fixture
async def failed_build(harness: OperatorHarness) -> OperatorHarness:
    """An operator with a chain whose build has failed for good."""
    harness.outcome = failing("PackageNotFound", transient=False)
    harness.apply(model(), BAD, image(), service())
    await harness.play()
    assert [health(harness, kind) for kind in ("Manifest", "Image", "Service")] == [
        "Current",
        "Failed",
        "Failed",
    ]
    return harness


def health(harness: OperatorHarness, kind: str) -> str:
    """Return the health of an object by the rules of kstatus."""
    body = harness.cluster.at(CUSTOM_RESOURCES[kind], "m")
    status = body["status"]
    if status["observedGeneration"] != body["metadata"]["generation"]:
        return "InProgress"
    conditions = {condition["type"]: condition["status"] for condition in status["conditions"]}
    if conditions["Reconciling"] == "True":
        return "InProgress"
    return "Failed" if conditions["Stalled"] == "True" else "Current"


@pytest.mark.parametrize("kind", ["Model", "Manifest", "Image"])
async def test_stalled_objects_are_in_progress_before_a_repair_is_observed(
    failed_build: OperatorHarness, kind: str
) -> None:
    """A GitOps tool looks at all objects at once after it has applied the repair of one."""
    harness, history = failed_build, len(failed_build.cluster.history)
    harness.outcome = succeed
    repair = {
        "Model": {"url": "https://h/2"},
        "Manifest": {"targetRuntime": {"properties": {"pipRequirements": None}}},
        "Image": {"name": "another"},
    }
    harness.change(kind, **repair[kind])
    await harness.settle()
    assert health(harness, "Image") == health(harness, "Service") == "InProgress"
    await harness.play()
    stalled = [
        (event.body["kind"], event.version)
        for event in harness.cluster.history[history + 1 :]
        if event.resource in CUSTOM_RESOURCES.values()
        and event.body["status"]["observedGeneration"] == event.body["metadata"]["generation"]
        and {"Stalled": "True"}.items()
        <= {c["type"]: c["status"] for c in event.body["status"].get("conditions", ())}.items()
    ]
    assert stalled == []
    assert harness.summary("Service") == ("m:1", "Succeeded", "Serving")


async def test_stalled_objects_are_in_progress_while_a_change_has_no_version_yet(
    failed_build: OperatorHarness,
) -> None:
    def refuse(_: int, call: Call) -> None:
        if (call.verb, call.resource) == ("create", "controllerrevisions"):
            raise Unavailable("away")

    failed_build.cluster.fault = refuse
    failed_build.change("Model", url="https://h/2")
    await failed_build.play(seconds=10, alone=True)
    assert [health(failed_build, kind) for kind in CUSTOM_RESOURCES] == [
        "InProgress",
        "Current",
        "InProgress",
        "InProgress",
    ]
    message = failed_build.condition("Service", "Reconciling")["message"]
    assert message.endswith("; Model m has changed since")


async def test_failed_rollout_is_in_progress_while_the_next_image_is_built(
    serving: OperatorHarness,
) -> None:
    serving.serves = False
    serving.change("Model", url="https://h/2")
    await serving.play(seconds=30)
    serving.cluster.change(DEPLOYMENTS, "default", "m", {"status": {"conditions": [LATE]}}, "status")
    await serving.settle()
    assert health(serving, "Service") == "Failed"
    serving.change("Model", url="https://h/3")
    await serving.settle()
    assert (health(serving, "Image"), health(serving, "Service")) == ("InProgress", "InProgress")
    serving.outcome = failing("PackageNotFound", transient=False)
    await serving.play(seconds=30)
    serving.cluster.change(DEPLOYMENTS, "default", "m", {"status": {"conditions": [LATE]}}, "status")
    await serving.settle()
    assert (health(serving, "Image"), health(serving, "Service")) == ("Failed", "Failed")


async def test_failure_returns_after_a_change_that_is_no_repair(failed_build: OperatorHarness) -> None:
    failed_build.change("Manifest", description="text")
    await failed_build.play(seconds=10)
    assert health(failed_build, "Image") == health(failed_build, "Service") == "Failed"


@pytest.mark.parametrize("reference", ["m:1", "other"], ids=["pinned", "another object"])
async def test_failure_of_an_object_that_does_not_follow_the_change_stays(
    failed_build: OperatorHarness, reference: str
) -> None:
    harness = failed_build
    harness.apply(manifest("other"), image("n", manifestId=reference))
    await harness.play()
    status = harness.status("Image", "n")
    assert harness.condition("Image", "Stalled", "n")["status"] == "True"
    harness.change("Manifest", webserviceType="Realtime")
    await harness.settle()
    assert harness.status("Image", "n") == status
