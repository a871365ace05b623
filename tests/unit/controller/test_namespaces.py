"""Namespaces without a Role: set aside, reported, and watched again when the Role returns."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from tests.unit.fake_api_server import Call
from tests.unit.operator_harness import OperatorHarness, model, sample_objects

from modelyard.api.resources import CUSTOM_RESOURCES
from modelyard.kube.errors import Forbidden
from modelyard.kube.types import JOBS, Json, Key
from modelyard.metrics import NAMESPACES_SET_ASIDE
from modelyard.settings import OperatorSettings


@pytest.fixture
async def two() -> AsyncIterator[OperatorHarness]:
    """A stopped operator that watches the namespaces default and other."""
    harness = OperatorHarness(OperatorSettings(watch_namespaces=("default", "other")))
    harness.supervision_seconds = 30.0
    yield harness
    await harness.stop()


def status(harness: OperatorHarness, kind: str, namespace: str) -> Json:
    found: Json = harness.cluster.at(CUSTOM_RESOURCES[kind], "m", namespace)["status"]
    return found


def is_reported() -> bool:
    samples = NAMESPACES_SET_ASIDE.collect()[0].samples
    return any(sample.labels == {"namespace": "other"} and sample.value == 1 for sample in samples)


async def test_start_goes_on_without_a_denied_namespace(
    two: OperatorHarness, caplog: pytest.LogCaptureFixture
) -> None:
    two.cluster.denied = {"other"}
    two.cluster.apply(model(), "other")
    await two.start()
    two.apply(*sample_objects())
    await two.play()
    assert two.summary("Service") == ("m:1", "Succeeded", "Serving")
    assert caplog.text.count("namespace other is set aside") == 1
    assert is_reported()
    assert two.controller.check_readiness()
    two.controller.check_liveness()
    before = len(two.cluster.calls)
    await two.play(seconds=601)
    # 6 watches, each once in 60 s
    assert len([call for call in two.cluster.calls[before:] if call.verb == "list"]) <= 6 * 11


async def test_namespace_that_loses_its_role_is_set_aside_and_restored(two: OperatorHarness) -> None:
    await two.start()
    two.apply(*sample_objects())
    for body in sample_objects():
        two.cluster.apply(body, "other")
    await two.play()
    assert status(two, "Service", "other")["state"] == "Succeeded"
    two.cluster.denied = {"other"}
    two.cluster.hang_up()
    await two.play(seconds=120)
    assert is_reported()
    assert two.controller.check_readiness()
    two.change("Model", url="https://h/2")
    await two.play(seconds=120)
    assert two.summary("Service") == ("m:2", "Succeeded", "Serving")
    two.cluster.change(CUSTOM_RESOURCES["Model"], "other", "m", {"spec": {"url": "https://h/3"}})
    await two.play(seconds=120)
    assert status(two, "Model", "other")["id"] == "m:1"
    two.cluster.denied = set()
    await two.play(seconds=120)
    assert not is_reported()
    assert status(two, "Service", "other")["id"] == "m:2"
    assert status(two, "Service", "other")["state"] == "Succeeded"


async def test_object_deleted_while_its_namespace_is_set_aside_is_dropped(two: OperatorHarness) -> None:
    await two.start()
    two.cluster.apply(model(), "other")
    await two.play()
    two.cluster.denied = {"other"}
    two.cluster.hang_up()
    await two.play(seconds=120)
    two.cluster.remove(CUSTOM_RESOURCES["Model"], "other", "m", reported=False)
    two.cluster.denied = set()
    await two.play(seconds=120)
    assert two.cache.objects.get(Key("Model", "other", "m")) is None


async def test_build_of_a_namespace_that_is_set_aside_is_not_cancelled(two: OperatorHarness) -> None:
    await two.start()
    for body in sample_objects():
        two.cluster.apply(body, "other")
    await two.play(alone=True)
    assert two.cluster.all(JOBS)
    await two.stop()
    two.cluster.denied = {"other"}
    await two.start()
    await two.play(seconds=60, alone=True)
    assert two.cluster.all(JOBS)
    two.cluster.denied = set()
    await two.play(seconds=300)
    assert status(two, "Service", "other")["state"] == "Succeeded"


async def test_namespace_stays_set_aside_while_one_of_its_lists_is_denied(two: OperatorHarness) -> None:
    two.cluster.denied = {"other"}
    two.cluster.apply(model(), "other")
    await two.start()

    def deny(_: int, call: Call) -> None:
        if call == Call("list", CUSTOM_RESOURCES["Image"].plural):
            raise Forbidden("no right", status=403)

    two.cluster.fault = deny
    two.cluster.denied = set()
    await two.play(seconds=300)
    assert is_reported()
    two.cluster.fault = lambda number, call: None
    await two.play(seconds=120)
    assert status(two, "Model", "other")["id"] == "m:1"


async def test_readiness_fails_while_all_namespaces_are_set_aside(two: OperatorHarness) -> None:
    two.cluster.denied = {"default", "other"}
    await two.start()
    with pytest.raises(RuntimeError, match="all namespaces of watchNamespaces are set aside"):
        two.controller.check_readiness()
    two.controller.check_liveness()
    two.cluster.denied = set()
    await two.play(seconds=120)
    assert two.controller.check_readiness()
