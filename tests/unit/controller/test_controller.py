"""The controller around the reconcilers: start, health, errors, resync."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from typing import Any

import pytest
from tests.unit.fake_api_server import Call
from tests.unit.operator_harness import (
    OperatorHarness,
    model,
    sample_objects,
    service,
)

from modelyard.api.resources import CUSTOM_RESOURCES
from modelyard.controller.controller import Controller
from modelyard.kube.errors import Forbidden, NamespaceTerminating, NotFound, Rejected, Unavailable
from modelyard.kube.types import (
    AUTOSCALERS,
    DEPLOYMENTS,
    REVISIONS,
    SECRETS,
    ApiResource,
    Json,
    Key,
)
from modelyard.metrics import RECONCILE_ERRORS
from modelyard.settings import OperatorSettings


def silent(controller: Controller, plural: str, seconds: float) -> None:
    """One watch of a resource has not been heard for a while."""
    watch = next(r for r in controller.children.reflectors if r.resource.plural == plural)
    watch.last_event -= seconds


async def supervised() -> OperatorHarness:
    """Return an operator that looks at its watches each 30 s, and serves everything named m."""
    harness = OperatorHarness()
    harness.supervision_seconds = 30.0
    await harness.start()
    harness.apply(*sample_objects())
    await harness.play(seconds=10)
    return harness


# readiness and liveness


async def test_readiness_gives_the_seconds_since_the_last_event_of_each_watch(
    harness: OperatorHarness,
) -> None:
    assert harness.controller.check_readiness() == {
        "controllerrevisions.apps": 0,
        "deployments.apps": 0,
        "services": 0,
        "secrets": 0,
        "horizontalpodautoscalers.autoscaling": 0,
        "poddisruptionbudgets.policy": 0,
        "jobs.batch": 0,
        "pods": 0,
    }
    silent(harness.controller, "jobs", 200)
    assert harness.controller.check_readiness()["jobs.batch"] == 200


async def test_stale_watch_fails_readiness_but_not_liveness(harness: OperatorHarness) -> None:
    silent(harness.controller, "jobs", 301)
    with pytest.raises(RuntimeError, match=r"no event or bookmark of jobs\.batch"):
        harness.controller.check_readiness()
    harness.controller.check_liveness()


async def test_silent_watch_is_restarted(caplog: pytest.LogCaptureFixture) -> None:
    serving = await supervised()
    silent(serving.controller, "deployments", 301)
    await serving.play(seconds=31)
    assert "watch of deployments.apps: silent for 301 s; restarting" in caplog.text
    before = serving.cluster.calls.count(Call("watch", "deployments"))
    assert before == 2
    serving.cluster.remove(DEPLOYMENTS, "default", "m")
    await serving.play(seconds=1)
    assert serving.cluster.at(DEPLOYMENTS, "m")
    serving.controller.check_liveness()
    await serving.stop()


async def test_absent_api_server_restarts_neither_watches_nor_the_process(
    caplog: pytest.LogCaptureFixture,
) -> None:
    serving = await supervised()

    def fail(_: int, call: Call) -> None:
        raise Unavailable("away")

    serving.cluster.fault = fail
    serving.cluster.hang_up()
    await serving.play(seconds=5)
    for reflector in serving.controller.children.reflectors:
        reflector.last_event -= 1000
    await serving.play(seconds=600)
    serving.controller.check_liveness()
    with pytest.raises(RuntimeError, match="no event or bookmark"):
        serving.controller.check_readiness()
    assert "restarting" not in caplog.text
    serving.cluster.fault = lambda number, call: None
    serving.change("Model", url="https://h/2")
    await serving.play(seconds=60)
    assert serving.summary("Service") == ("m:2", "Succeeded", "Serving")
    await serving.stop()


@pytest.fixture
async def two_namespaces() -> AsyncIterator[OperatorHarness]:
    harness = OperatorHarness(OperatorSettings(watch_namespaces=("default", "other")))
    await harness.start()
    yield harness
    await harness.stop()


async def test_watch_that_is_stale_in_one_namespace_fails_readiness(two_namespaces: OperatorHarness) -> None:
    silent(two_namespaces.controller, "deployments", 301)
    with pytest.raises(RuntimeError, match=r"no event or bookmark of deployments\.apps"):
        two_namespaces.controller.check_readiness()


async def test_only_the_named_namespaces_are_watched(two_namespaces: OperatorHarness) -> None:
    two_namespaces.apply(*sample_objects())
    await two_namespaces.play()
    assert two_namespaces.summary("Service") == ("m:1", "Succeeded", "Serving")
    await two_namespaces.stop()
    two_namespaces.cluster.apply(model("n"), "elsewhere")
    await two_namespaces.start()
    known = two_namespaces.cache.objects.keys()
    assert {key.namespace for key in known} == {"default"}


async def test_ended_worker_fails_liveness(harness: OperatorHarness) -> None:
    harness.controller._tasks[-3].cancel()
    await asyncio.sleep(0)
    with pytest.raises(RuntimeError, match="has ended"):
        harness.controller.check_liveness()


# start


async def test_first_write_comes_after_all_first_lists(serving: OperatorHarness) -> None:
    await serving.stop()
    serving.cluster.remove(DEPLOYMENTS, "default", "m")
    before = len(serving.cluster.calls)
    await serving.start()
    await serving.play()
    calls = serving.cluster.calls[before:]
    first = next(number for number, call in enumerate(calls) if call.verb == "create")
    listed = {call.resource for call in calls[:first] if call.verb == "list"}
    assert listed == {call.resource for call in calls if call.verb == "list"}
    assert listed >= {resource.plural for resource in (*CUSTOM_RESOURCES.values(), DEPLOYMENTS, AUTOSCALERS)}
    assert serving.summary("Service") == ("m:1", "Succeeded", "Serving")


async def test_error_of_a_watch_ends_the_start_and_leaves_no_task() -> None:
    def fault(_: int, call: Call) -> None:
        raise TypeError("a bug")

    harness = OperatorHarness()
    harness.cluster.fault = fault
    before = asyncio.all_tasks()
    with pytest.raises(TypeError, match="a bug"):
        await harness.start()
    assert asyncio.all_tasks() == before
    with pytest.raises(RuntimeError, match="first lists are not complete"):
        harness.controller.check_readiness()
    harness.cluster.fault = lambda number, call: None
    await harness.controller.start()
    assert harness.controller.check_readiness()
    await harness.controller.stop()
    assert asyncio.all_tasks() == before


@pytest.mark.parametrize("resource", [AUTOSCALERS, CUSTOM_RESOURCES["Image"], DEPLOYMENTS], ids=str)
async def test_list_that_fails_during_the_start_is_repeated(
    harness: OperatorHarness, resource: ApiResource
) -> None:
    await harness.stop()
    harness.apply(model())
    failures = [Unavailable("away")] * 3

    def fail(_: int, call: Call) -> None:
        if call == Call("list", resource.plural) and failures:
            raise failures.pop()

    harness.cluster.fault = fail
    await harness.start()
    assert not failures
    await harness.play()
    assert harness.summary("Model") == ("m:1", "Succeeded", "Registered")


# errors


async def test_unexpected_error_is_counted_and_retried(
    harness: OperatorHarness, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(number: int, call: Call) -> None:
        if call.verb == "create" and call.resource == "deployments":
            raise TypeError("a bug")

    counter = RECONCILE_ERRORS.labels(kind="Service")
    before = counter._value.get()
    harness.cluster.fault = fail
    harness.apply(*sample_objects())
    await harness.play(seconds=1)
    assert counter._value.get() - before == 3  # at once, after 0.2 s, after 0.6 s
    harness.cluster.fault = lambda number, call: None
    await harness.play()
    assert harness.summary("Service") == ("m:1", "Succeeded", "Serving")
    assert "a bug" in caplog.text


async def test_absent_api_server_is_not_counted_as_an_error(
    harness: OperatorHarness, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(number: int, call: Call) -> None:
        if call.verb not in {"list", "watch"}:
            raise Unavailable("away")

    before = RECONCILE_ERRORS.labels(kind="Model")._value.get()
    harness.cluster.fault = fail
    harness.apply(model())
    await harness.play(seconds=20)
    assert RECONCILE_ERRORS.labels(kind="Model")._value.get() == before
    assert max(record.levelno for record in caplog.records) == logging.WARNING
    harness.cluster.fault = lambda number, call: None
    await harness.play()
    assert harness.summary("Model") == ("m:1", "Succeeded", "Registered")


@pytest.mark.parametrize(
    ("kind", "spec", "message"),
    [
        ("Model", {"url": "ftp://h/x"}, "spec.url: url must start with"),
        ("Image", {"imageType": "Zip"}, "spec.imageType: "),
        ("Service", {"numReplicas": -1}, "spec.numReplicas: "),
    ],
)
async def test_spec_of_an_older_schema_fails_with_its_field(
    serving: OperatorHarness, kind: str, spec: dict[str, Any], message: str
) -> None:
    before = serving.status(kind)
    serving.change(kind, **spec)
    await serving.play()
    assert serving.summary(kind) == ("m:1", "Failed", "InvalidSpec")
    assert message in serving.condition(kind, "Ready")["message"]
    changed = {"state", "error", "conditions", "observedGeneration", "creationState"}
    after = serving.status(kind)
    assert {key: after.get(key) for key in before.keys() - changed} == {
        key: before[key] for key in before.keys() - changed
    }
    assert after.get("creationState", "Failed") == "Failed"


async def test_revision_reported_before_the_response_queues_only_dependents(
    serving: OperatorHarness,
) -> None:
    body = serving.cluster.at(REVISIONS, "model-m-1")
    model, manifest = Key("Model", "default", "m"), Key("Manifest", "default", "m")
    for creates, expected in ((True, {manifest}), (False, {model, manifest})):
        serving.cache.revisions.delete(body)
        with serving.cache.pending_writes.creating(
            REVISIONS, "default", "model-m-1" if creates else "another"
        ):
            serving.controller.children.on_child(REVISIONS, body, False)
        assert set(serving.queue._queued) == expected
        await serving.settle()


async def test_rejected_request_is_tried_again_after_a_minute(harness: OperatorHarness) -> None:
    def refuse(_: int, call: Call) -> None:
        if call == Call("create", "controllerrevisions", "model-m-1"):
            raise Rejected("no right", status=403, reason="Forbidden")

    harness.cluster.fault = refuse
    harness.apply(model())
    await harness.play(seconds=5)
    assert harness.summary("Model") == ("", "Failed", "Forbidden")
    harness.cluster.fault = lambda number, call: None
    await harness.play(seconds=61)
    assert harness.summary("Model") == ("m:1", "Succeeded", "Registered")


async def test_denial_is_final_after_eight_attempts(harness: OperatorHarness) -> None:
    """An API server that has just started denies everything until it has read the rules."""
    left = [5]

    def deny(_: int, call: Call) -> None:
        if left[0] and call == Call("create", "controllerrevisions", "model-m-1"):
            left[0] -= 1
            raise Forbidden('models is forbidden: User "x" cannot create', status=403, reason="Forbidden")

    errors = RECONCILE_ERRORS.labels(kind="Model")._value.get()
    harness.cluster.fault = deny
    harness.apply(model())
    await harness.play(seconds=20)
    assert harness.summary("Model") == ("m:1", "Succeeded", "Registered")
    assert harness.events("Forbidden") == 0
    assert RECONCILE_ERRORS.labels(kind="Model")._value.get() == errors
    left[0] = 1000
    harness.cluster.remove(CUSTOM_RESOURCES["Model"], "default", "m")
    await harness.play(seconds=20)
    harness.apply(model())
    await harness.play(seconds=100)
    assert harness.summary("Model") == ("", "Failed", "Forbidden")


async def test_terminating_namespace_gets_no_retries(serving: OperatorHarness) -> None:
    """Its objects go one by one, and nothing can be made in it any more."""

    def refuse(_: int, call: Call) -> None:
        if call.verb == "create":
            raise NamespaceTerminating("unable to create new content in namespace default", status=403)

    serving.cluster.fault = refuse
    serving.cluster.remove(SECRETS, "default", "m-keys")
    before = len(serving.cluster.writes)
    await serving.play(seconds=300)
    assert serving.cluster.writes[before:] == [Call("create", "secrets", "m-keys")]
    assert serving.summary("Service") == ("m:1", "Succeeded", "Serving")


# resync


@pytest.fixture
async def resyncing() -> AsyncIterator[OperatorHarness]:
    """An operator with a resync every 600 s, and one object of each kind."""
    harness = OperatorHarness(OperatorSettings(resync_seconds=600))
    await harness.start()
    harness.apply(*sample_objects())
    await harness.play(seconds=10)
    yield harness
    await harness.stop()


async def test_resync_fetches_nothing_but_the_lists_of_the_four_kinds(resyncing: OperatorHarness) -> None:
    await resyncing.play(seconds=700)  # the first resync compares all children
    resyncing.cluster.calls.clear()
    await resyncing.play(seconds=1300)
    assert {call.verb for call in resyncing.cluster.calls} == {"list"}
    listed = {call.resource for call in resyncing.cluster.calls}
    assert listed == {resource.plural for resource in CUSTOM_RESOURCES.values()}


@pytest.mark.parametrize("kind", CUSTOM_RESOURCES)
async def test_object_whose_deletion_was_not_reported_is_dropped(serving: OperatorHarness, kind: str) -> None:
    """The deletions of the children are reported before that of the object."""
    serving.cluster.remove(CUSTOM_RESOURCES[kind], "default", "m", reported=False)
    before = len(serving.cluster.writes)
    await serving.play()
    assert serving.cache.objects.get(Key(kind, "default", "m")) is None
    assert len(serving.cluster.writes) - before < 15
    owners = {owner["kind"] for body in serving.cluster.objects.values() for owner in _owners(body)}
    assert kind not in owners


async def test_deletion_reported_during_a_fetch_is_final(
    serving: OperatorHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = Key("Model", "default", "m")
    find = serving.controller._ctx.client.get_or_none

    async def late(resource: ApiResource, namespace: str, name: str) -> Json | None:
        live = await find(resource, namespace, name)
        serving.controller.custom_objects.remove("Model", live or {})
        return live

    serving.cache.objects.mark_stale(key)
    monkeypatch.setattr(serving.controller._ctx.client, "get_or_none", late)
    assert await serving.controller.worker.current(key) is None
    assert serving.cache.objects.get(key) is None


async def test_object_of_a_deleted_namespace_is_fetched_and_dropped(serving: OperatorHarness) -> None:
    """The namespace has gone, and the watch was away."""

    def gone(_: int, call: Call) -> None:
        if call.verb == "create":
            raise NotFound('namespaces "default" not found', status=404)

    serving.cluster.remove(REVISIONS, "default", "model-m-1", reported=False)
    serving.cluster.remove(CUSTOM_RESOURCES["Model"], "default", "m", reported=False)
    serving.cache.revisions.delete({"metadata": {"namespace": "default", "name": "model-m-1"}})
    serving.cluster.fault = gone
    serving.queue.add(Key("Model", "default", "m"))
    await serving.play(seconds=5)
    assert serving.cache.objects.get(Key("Model", "default", "m")) is None


def _owners(body: Json) -> list[Json]:
    owners: list[Json] = body["metadata"].get("ownerReferences", [])
    return owners


async def test_deleted_secret_queues_only_its_own_service(serving: OperatorHarness) -> None:
    """The Secret m-keys belongs to m, the Deployment m-keys to m-keys."""
    serving.apply(service("m-keys"))
    await serving.play()
    serving.cluster.remove(DEPLOYMENTS, "default", "m-keys")
    await serving.play()
    assert serving.cluster.at(DEPLOYMENTS, "m-keys")
    assert serving.summary("Service", "m-keys") == ("m-keys:1", "Succeeded", "Serving")
    serving.cluster.remove(CUSTOM_RESOURCES["Service"], "default", "m-keys")
    await serving.play()
    assert serving.summary("Service") == ("m:1", "Succeeded", "Serving")
