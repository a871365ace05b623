"""The controller around the reconcilers: start, health, errors, resync."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from typing import Any

import pytest
from tests.unit.fake_api_server import Call
from tests.unit.operator_harness import (
    World,
    everything,
    model,
    service,
)

from modelyard.controller.controller import Controller
from modelyard.kube.errors import Forbidden, NamespaceTerminating, NotFound, Rejected, Unavailable
from modelyard.kube.types import (
    AUTOSCALERS,
    CUSTOM_RESOURCES,
    DEPLOYMENTS,
    REVISIONS,
    SECRETS,
    ApiResource,
    Json,
)
from modelyard.metrics import RECONCILE_ERRORS
from modelyard.reconcile.workqueue import Key
from modelyard.settings import OperatorSettings


def silent(controller: Controller, plural: str, seconds: float) -> None:
    """One watch of a resource has not been heard for a while."""
    watch = next(r for r in controller._reflectors if r.resource.plural == plural)
    watch.last_contact -= seconds


# health


async def test_healthy(world: World) -> None:
    assert world.controller.health() == {
        "models.modelyard.dev": 0,
        "manifests.modelyard.dev": 0,
        "images.modelyard.dev": 0,
        "services.modelyard.dev": 0,
        "controllerrevisions.apps": 0,
        "deployments.apps": 0,
        "services": 0,
        "secrets": 0,
        "jobs.batch": 0,
        "pods": 0,
    }
    silent(world.controller, "jobs", 200)
    assert world.controller.health()["jobs.batch"] == 200


async def test_a_deaf_watch(world: World) -> None:
    silent(world.controller, "jobs", 301)
    with pytest.raises(RuntimeError, match=r"nothing heard of jobs\.batch"):
        world.controller.health()


@pytest.fixture
async def two_namespaces() -> AsyncIterator[World]:
    world = World(OperatorSettings(watch_namespaces=("default", "other")))
    await world.start()
    yield world
    await world.stop()


async def test_a_watch_that_is_deaf_in_one_namespace(two_namespaces: World) -> None:
    silent(two_namespaces.controller, "deployments", 301)
    with pytest.raises(RuntimeError, match=r"nothing heard of deployments\.apps"):
        two_namespaces.controller.health()


async def test_only_the_named_namespaces_are_seen(two_namespaces: World) -> None:
    two_namespaces.apply(*everything())
    await two_namespaces.play()
    assert two_namespaces.said("Service") == ("m:1", "Succeeded", "Serving")
    await two_namespaces.stop()
    two_namespaces.cluster.apply(model("n"), "elsewhere")
    await two_namespaces.start()
    known = two_namespaces.store.keys()
    assert {key.namespace for key in known} == {"default"}


async def test_a_dead_worker(world: World) -> None:
    world.controller._tasks[-2].cancel()
    await asyncio.sleep(0)
    with pytest.raises(RuntimeError, match="a worker has ended"):
        world.controller.health()


# start


async def test_nothing_is_written_before_everything_is_known(serving: World) -> None:
    await serving.stop()
    serving.cluster.remove(DEPLOYMENTS, "default", "m")
    before = len(serving.cluster.calls)
    await serving.start()
    await serving.play()
    verbs = [call.verb for call in serving.cluster.calls[before:]]
    first = verbs.index("create")
    assert "list" not in verbs[first:]
    assert serving.said("Service") == ("m:1", "Succeeded", "Serving")


async def test_a_watch_that_breaks_down_ends_the_start(monkeypatch: pytest.MonkeyPatch) -> None:
    def fault(_: int, call: Call) -> None:
        raise TypeError("a bug")

    world = World()
    world.cluster.fault = fault
    with pytest.raises(TypeError, match="a bug"):
        await world.start()
    await world.controller.stop()


# errors


async def test_a_bug_is_counted_and_tried_again(
    world: World, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(number: int, call: Call) -> None:
        if call.verb == "create" and call.resource == "deployments":
            raise TypeError("a bug")

    counter = RECONCILE_ERRORS.labels(kind="Service")
    before = counter._value.get()
    world.cluster.fault = fail
    world.apply(*everything())
    await world.play(seconds=1)
    assert counter._value.get() - before == 3  # at once, after 0.2 s, after 0.6 s
    world.cluster.fault = lambda number, call: None
    await world.play()
    assert world.said("Service") == ("m:1", "Succeeded", "Serving")
    assert "a bug" in caplog.text


async def test_an_api_server_that_is_away_is_no_error(world: World, caplog: pytest.LogCaptureFixture) -> None:
    def fail(number: int, call: Call) -> None:
        if call.verb not in {"list", "watch"}:
            raise Unavailable("away")

    before = RECONCILE_ERRORS.labels(kind="Model")._value.get()
    world.cluster.fault = fail
    world.apply(model())
    await world.play(seconds=20)
    assert RECONCILE_ERRORS.labels(kind="Model")._value.get() == before
    assert max(record.levelno for record in caplog.records) == logging.WARNING
    world.cluster.fault = lambda number, call: None
    await world.play()
    assert world.said("Model") == ("m:1", "Succeeded", "Registered")


@pytest.mark.parametrize(
    ("kind", "spec", "message"),
    [
        ("Model", {"url": "ftp://h/x"}, "spec.url: url must start with"),
        ("Image", {"imageType": "Zip"}, "spec.imageType: "),
        ("Service", {"numReplicas": -1}, "spec.numReplicas: "),
    ],
)
async def test_a_spec_that_passed_an_older_schema(
    serving: World, kind: str, spec: dict[str, Any], message: str
) -> None:
    before = serving.status(kind)
    serving.change(kind, **spec)
    await serving.play()
    assert serving.said(kind) == ("m:1", "Failed", "InvalidSpec")
    assert message in serving.condition(kind, "Ready")["message"]
    changed = {"state", "error", "conditions", "observedGeneration", "creationState"}
    after = serving.status(kind)
    assert {key: after.get(key) for key in before.keys() - changed} == {
        key: before[key] for key in before.keys() - changed
    }
    assert after.get("creationState", "Failed") == "Failed"


async def test_a_record_that_is_told_before_its_answer_comes_is_news_to_others_only(serving: World) -> None:
    body = serving.cluster.at(REVISIONS, "model-m-1")
    model, manifest = Key("Model", "default", "m"), Key("Manifest", "default", "m")
    for creates, expected in ((True, {manifest}), (False, {model, manifest})):
        serving.store.drop_record(body)
        with serving.store.creating(REVISIONS, "default", "model-m-1" if creates else "another"):
            serving.controller._on_child(REVISIONS, body, False)
        assert serving.queue._queued == expected
        await serving.settle()


async def test_what_is_refused_is_tried_again_after_a_while(world: World) -> None:
    def refuse(_: int, call: Call) -> None:
        if call == Call("create", "controllerrevisions", "model-m-1"):
            raise Rejected("no right", status=403, reason="Forbidden")

    world.cluster.fault = refuse
    world.apply(model())
    await world.play(seconds=5)
    assert world.said("Model") == ("", "Failed", "Forbidden")
    world.cluster.fault = lambda number, call: None
    await world.play(seconds=61)
    assert world.said("Model") == ("m:1", "Succeeded", "Registered")


async def test_a_denial_is_believed_when_it_stays(world: World) -> None:
    """An API server that has just started denies everything until it has read the rules."""
    left = [5]

    def deny(_: int, call: Call) -> None:
        if left[0] and call == Call("create", "controllerrevisions", "model-m-1"):
            left[0] -= 1
            raise Forbidden('models is forbidden: User "x" cannot create', status=403, reason="Forbidden")

    errors = RECONCILE_ERRORS.labels(kind="Model")._value.get()
    world.cluster.fault = deny
    world.apply(model())
    await world.play(seconds=20)
    assert world.said("Model") == ("m:1", "Succeeded", "Registered")
    assert world.events("Forbidden") == 0
    assert RECONCILE_ERRORS.labels(kind="Model")._value.get() == errors
    left[0] = 1000
    world.cluster.remove(CUSTOM_RESOURCES["Model"], "default", "m")
    await world.play(seconds=20)
    world.apply(model())
    await world.play(seconds=100)
    assert world.said("Model") == ("", "Failed", "Forbidden")


async def test_a_namespace_that_is_being_deleted_is_left_alone(serving: World) -> None:
    """Its objects go one by one, and nothing can be made in it any more."""

    def refuse(_: int, call: Call) -> None:
        if call.verb == "create":
            raise NamespaceTerminating("unable to create new content in namespace default", status=403)

    serving.cluster.fault = refuse
    serving.cluster.remove(SECRETS, "default", "m-keys")
    before = len(serving.cluster.writes)
    await serving.play(seconds=300)
    assert serving.cluster.writes[before:] == [Call("create", "secrets", "m-keys")]
    assert serving.said("Service") == ("m:1", "Succeeded", "Serving")


# resync


async def test_a_resync_finds_what_no_watch_tells() -> None:
    world = World(OperatorSettings(resync_seconds=0.01))
    await world.start()
    world.apply(*everything())
    await world.play(seconds=10)
    world.cluster.remove(AUTOSCALERS, "default", "m")
    for _ in range(100):
        await asyncio.sleep(0.005)
        if (AUTOSCALERS, "default", "m") in world.cluster.objects:
            break
    await world.stop()
    assert (AUTOSCALERS, "default", "m") in world.cluster.objects


async def test_a_resync_asks_for_nothing_that_a_watch_tells() -> None:
    world = World(OperatorSettings(resync_seconds=0.01))
    await world.start()
    world.apply(*everything())
    await world.play(seconds=10)
    world.cluster.calls.clear()
    await asyncio.sleep(0.1)
    await world.stop()
    assert {call.resource for call in world.cluster.calls} == {AUTOSCALERS.plural}


@pytest.mark.parametrize("kind", CUSTOM_RESOURCES)
async def test_an_object_that_went_without_a_word_is_let_go(serving: World, kind: str) -> None:
    """What it left behind is told before it is."""
    serving.cluster.remove(CUSTOM_RESOURCES[kind], "default", "m", told=False)
    before = len(serving.cluster.writes)
    await serving.play()
    assert serving.store.item(Key(kind, "default", "m")) is None
    assert len(serving.cluster.writes) - before < 15
    owners = {owner["kind"] for body in serving.cluster.objects.values() for owner in _owners(body)}
    assert kind not in owners


async def test_an_object_whose_end_is_told_while_it_is_looked_at_stays_gone(
    serving: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = Key("Model", "default", "m")
    find = serving.controller._ctx.client.get_or_none

    async def late(resource: ApiResource, namespace: str, name: str) -> Json | None:
        live = await find(resource, namespace, name)
        serving.controller._on_ours(resource, live or {}, True)
        return live

    serving.store.doubt(key)
    monkeypatch.setattr(serving.controller._ctx.client, "get_or_none", late)
    assert await serving.controller._item(key) is None
    assert serving.store.item(key) is None


async def test_what_finds_no_place_any_more_is_looked_at(serving: World) -> None:
    """The namespace has gone, and the watch was away."""

    def gone(_: int, call: Call) -> None:
        if call.verb == "create":
            raise NotFound('namespaces "default" not found', status=404)

    serving.cluster.remove(REVISIONS, "default", "model-m-1", told=False)
    serving.cluster.remove(CUSTOM_RESOURCES["Model"], "default", "m", told=False)
    serving.store.drop_record({"metadata": {"namespace": "default", "name": "model-m-1"}})
    serving.cluster.fault = gone
    serving.queue.add(Key("Model", "default", "m"))
    await serving.play(seconds=5)
    assert serving.store.item(Key("Model", "default", "m")) is None


def _owners(body: Json) -> list[Json]:
    owners: list[Json] = body["metadata"].get("ownerReferences", [])
    return owners


async def test_a_service_of_another_name_is_none_of_the_secrets_business(serving: World) -> None:
    """The Secret m-keys belongs to m, the Deployment m-keys to m-keys."""
    serving.apply(service("m-keys"))
    await serving.play()
    serving.cluster.remove(DEPLOYMENTS, "default", "m-keys")
    await serving.play()
    assert serving.cluster.at(DEPLOYMENTS, "m-keys")
    assert serving.said("Service", "m-keys") == ("m-keys:1", "Succeeded", "Serving")
    serving.cluster.remove(CUSTOM_RESOURCES["Service"], "default", "m-keys")
    await serving.play()
    assert serving.said("Service") == ("m:1", "Succeeded", "Serving")
