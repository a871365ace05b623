"""The annotation of pods after a change of their keys, which makes kubelets mount the new keys at once."""

from __future__ import annotations

import datetime as dt
from collections.abc import AsyncIterator
from typing import Final

import pytest
from tests.unit.fake_api_server import Call
from tests.unit.operator_harness import OperatorHarness, sample_objects, service

from modelyard.api import labels
from modelyard.kube.errors import Forbidden
from modelyard.kube.types import PODS, SECRETS, Json
from modelyard.metrics import KEY_REFRESHES

ROUND: Final = [Call("patch", "pods", "m-a"), Call("patch", "pods", "m-b")]
CHANGE: Final[Json] = {"data": {"primaryKey": "bmV3"}}


def put_pod(harness: OperatorHarness, name: str, service: str = "m") -> None:
    metadata = {"name": name, "labels": labels.selector_of(service)}
    harness.cluster.put(PODS, "default", {**PODS.header(), "metadata": metadata})


def patches(harness: OperatorHarness) -> list[Call]:
    return [call for call in harness.cluster.calls if call.verb == "patch" and call.resource == "pods"]


def text(moment: dt.datetime) -> str:
    return moment.isoformat(timespec="milliseconds")


def refreshed(harness: OperatorHarness, name: str) -> str | None:
    annotations: Json = harness.cluster.at(PODS, name)["metadata"].get("annotations", {})
    return annotations.get(labels.KEYS_REFRESHED)


@pytest.fixture
async def serving() -> AsyncIterator[OperatorHarness]:
    """A Service that has served for longer than a change of its keys counts as recent."""
    harness = OperatorHarness()
    await harness.start()
    harness.apply(*sample_objects(), service("other"))
    await harness.play()
    for name in ("m-a", "m-b"):
        put_pod(harness, name)
    put_pod(harness, "other-a", "other")
    harness.clock.move(300)
    yield harness
    await harness.stop()


async def test_new_service_writes_to_no_pod(serving: OperatorHarness) -> None:
    assert patches(serving) == []


async def test_changed_keys_annotate_the_pods_of_the_service_at_once(serving: OperatorHarness) -> None:
    serving.cluster.change(SECRETS, "default", "m-keys", CHANGE)
    await serving.settle()
    assert patches(serving) == ROUND
    assert refreshed(serving, "m-a") == text(serving.clock())
    assert refreshed(serving, "other-a") is None


async def test_change_counts_with_an_api_server_whose_clock_is_late(serving: OperatorHarness) -> None:
    serving.clock.move(7200)
    serving.cluster.now = lambda: serving.clock() - dt.timedelta(hours=1)
    serving.cluster.change(SECRETS, "default", "m-keys", CHANGE)
    await serving.settle()
    assert patches(serving) == ROUND


async def test_list_of_old_changes_annotates_no_pod(serving: OperatorHarness) -> None:
    serving.cluster.change(SECRETS, "default", "m-keys", CHANGE)
    await serving.play(alone=True)
    before = len(patches(serving))
    serving.clock.move(300)
    serving.cluster.compact()
    serving.cluster.hang_up()
    await serving.play(alone=True)
    assert len(patches(serving)) == before


async def test_annotation_is_repeated_twice_and_then_no_more(serving: OperatorHarness) -> None:
    serving.cluster.change(SECRETS, "default", "m-keys", CHANGE)
    changed = serving.clock()
    await serving.play(seconds=1.1, alone=True)
    assert patches(serving) == ROUND * 2
    put_pod(serving, "m-c")
    await serving.play(alone=True)
    assert patches(serving) == [*ROUND * 3, Call("patch", "pods", "m-c")]
    assert refreshed(serving, "m-c") == text(changed + dt.timedelta(seconds=5))


async def test_key_that_the_operator_adds_is_a_change_too(serving: OperatorHarness) -> None:
    serving.cluster.change(SECRETS, "default", "m-keys", {"data": {"primaryKey": None}})
    await serving.play(seconds=0.6, alone=True)
    assert patches(serving) == ROUND * 2
    assert serving.cluster.at(SECRETS, "m-keys")["data"]["primaryKey"]


async def test_keys_that_change_again_and_again_cost_four_rounds_a_second(serving: OperatorHarness) -> None:
    for number in range(100):
        serving.cluster.change(SECRETS, "default", "m-keys", {"data": {"primaryKey": f"{number}"}})
        await serving.play(seconds=0.01, alone=True)
        serving.clock.move(0.01)
    assert len(patches(serving)) <= 5 * len(ROUND)
    await serving.play(alone=True)
    assert (refreshed(serving, "m-a") or "") >= text(serving.clock() - dt.timedelta(seconds=1))


async def test_deleted_keys_are_replaced_in_the_pods(serving: OperatorHarness) -> None:
    serving.cluster.remove(SECRETS, "default", "m-keys")
    await serving.settle()
    assert serving.cluster.at(SECRETS, "m-keys")["data"]
    assert patches(serving) == ROUND


@pytest.mark.parametrize(("seconds", "rounds"), [(30, 1), (200, 0)])
async def test_restarted_operator_continues_with_recent_changes(
    serving: OperatorHarness, seconds: float, rounds: int
) -> None:
    await serving.stop()
    serving.cluster.change(SECRETS, "default", "m-keys", CHANGE)
    serving.clock.move(seconds)
    await serving.start()
    await serving.settle()
    assert patches(serving) == ROUND * rounds


async def test_restart_alone_annotates_no_pod(serving: OperatorHarness) -> None:
    await serving.stop()
    await serving.start()
    await serving.play(alone=True)
    assert patches(serving) == []


async def test_service_without_replicas_costs_no_call(serving: OperatorHarness) -> None:
    serving.change("Service", numReplicas=0)
    await serving.play()
    calls = len(serving.cluster.calls)
    serving.cluster.change(SECRETS, "default", "m-keys", CHANGE)
    await serving.play(alone=True)
    assert [call for call in serving.cluster.calls[calls:] if call.resource == "pods"] == []


async def test_pod_that_ends_is_not_annotated(serving: OperatorHarness) -> None:
    serving.cluster.change(
        PODS, "default", "m-b", {"metadata": {"deletionTimestamp": "2026-01-01T00:00:00Z"}}
    )
    serving.cluster.change(SECRETS, "default", "m-keys", CHANGE)
    await serving.settle()
    assert patches(serving) == ROUND[:1]


async def test_pod_that_cannot_be_annotated_delays_no_other_one(
    serving: OperatorHarness, caplog: pytest.LogCaptureFixture
) -> None:
    failed = KEY_REFRESHES.labels(result="failed")._value.get()

    def deny(_: int, call: Call) -> None:
        if call == ROUND[0]:
            raise Forbidden("a webhook denied the request", status=403)

    serving.cluster.fault = deny
    serving.cluster.change(SECRETS, "default", "m-keys", CHANGE)
    await serving.play(alone=True)
    assert refreshed(serving, "m-b") == text(serving.clock())
    assert "pods of Service default/m have the new keys after about a minute" in caplog.text
    assert KEY_REFRESHES.labels(result="failed")._value.get() == failed + 3
