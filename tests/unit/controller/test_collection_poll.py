"""Condition DataCollection of Services, by the answers of the side-cars of their pods."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest
from prometheus_client import CollectorRegistry
from tests.unit.fake_api_server import Call
from tests.unit.operator_harness import OperatorHarness, sample_objects, service

from modelyard.api import labels
from modelyard.controller import collection_poll
from modelyard.controller.state_metrics import StateMetrics
from modelyard.kube.errors import Rejected
from modelyard.kube.types import DEPLOYMENTS, PODS, Json
from modelyard.metrics import COLLECTION_POLL_ERRORS
from modelyard.reconcile.collection_reports import CollectorState
from modelyard.settings import DataCollectionSettings, OperatorSettings

WORKING = CollectorState(True, "Working", "")
REFUSED = CollectorState(False, "StorageRefused", "s3://b refuses the credentials (403)")
COLLECTING: Json = {"storageEnabled": True}


@pytest.fixture
async def polled() -> AsyncIterator[OperatorHarness]:
    """An operator that polls every 30 s, with a Service m that collects records in one pod."""
    harness = OperatorHarness(OperatorSettings(data_collection=DataCollectionSettings(poll_seconds=30)))
    await harness.start()
    harness.apply(*sample_objects()[:3], service(dataCollection=COLLECTING))
    put_pod(harness, "m-1", "10.0.0.1")
    harness.collectors["10.0.0.1"] = WORKING
    await harness.play(seconds=45)
    yield harness
    await harness.stop()


def put_pod(harness: OperatorHarness, name: str, address: str, *, collects: bool = True, **more: Any) -> None:
    side_car = {"name": "collector", "state": {"running": {}}}
    status = {"phase": "Running", "podIP": address, "initContainerStatuses": [side_car] * collects}
    spec = {"initContainers": [{"name": "collector"}]} if collects else {}
    metadata = {"name": name, "labels": labels.labels_of("Service", "m")}
    harness.cluster.put(PODS, "default", {"metadata": metadata, "spec": spec, "status": status | more})


def condition(harness: OperatorHarness) -> tuple[str, str]:
    found = harness.condition("Service", "DataCollection")
    return found["status"], found["reason"]


def message(harness: OperatorHarness) -> str:
    return str(harness.condition("Service", "DataCollection")["message"])


def writes(harness: OperatorHarness) -> int:
    return len(harness.cluster.writes)


async def test_working_collectors_are_reported_and_write_nothing_afterwards(polled: OperatorHarness) -> None:
    assert condition(polled) == ("True", "Working")
    before = writes(polled)
    await polled.play(seconds=600)
    assert writes(polled) == before
    assert polled.summary("Service") == ("m:1", "Succeeded", "Serving")


async def test_degraded_collector_is_reported_with_its_replica_and_an_event(polled: OperatorHarness) -> None:
    put_pod(polled, "m-2", "10.0.0.2")
    polled.collectors["10.0.0.2"] = REFUSED
    await polled.play(seconds=31)
    assert condition(polled) == ("False", "StorageRefused")
    assert message(polled) == "replica m-2: s3://b refuses the credentials (403)."
    assert polled.events("DataCollectionStorageRefused") == 1
    assert polled.condition("Service", "Ready")["status"] == "True"
    polled.collectors["10.0.0.2"] = WORKING
    await polled.play(seconds=31)
    assert condition(polled) == ("True", "Working")
    assert polled.events("DataCollectionWorking") == 1


async def test_degraded_service_has_a_series_and_a_working_one_has_none(polled: OperatorHarness) -> None:
    registry = CollectorRegistry()
    registry.register(StateMetrics(polled.ctx, polled.controller))
    labels = {"namespace": "default", "service": "m", "reason": "StorageRefused"}
    assert registry.get_sample_value("modelyard_collection_degraded", labels) is None
    polled.collectors["10.0.0.1"] = REFUSED
    await polled.play(seconds=31)
    assert registry.get_sample_value("modelyard_collection_degraded", labels) == 1


async def test_other_number_in_a_message_writes_nothing_for_minutes(polled: OperatorHarness) -> None:
    polled.collectors["10.0.0.1"] = CollectorState(False, "SpoolFull", "1 record was dropped")
    await polled.play(seconds=31)
    before = writes(polled)
    polled.collectors["10.0.0.1"] = CollectorState(False, "SpoolFull", "2 records were dropped")
    await polled.play(seconds=300)
    assert (writes(polled), "1 record was" in message(polled)) == (before, True)
    await polled.play(seconds=600)
    assert (writes(polled), "2 records were" in message(polled)) == (before + 1, True)


async def test_old_runtime_is_reported_with_the_way_out(polled: OperatorHarness) -> None:
    polled.collectors["10.0.0.1"] = CollectorState(False, "NoRecords", "the front has written no file")
    await polled.play(seconds=31)
    assert "builds the image again" in message(polled)


async def test_silent_collector_is_unknown(polled: OperatorHarness) -> None:
    polled.collectors.clear()
    await polled.play(seconds=31)
    assert condition(polled) == ("Unknown", "NoAnswer")
    assert "replica m-1 does not answer on port 5002: connection refused" in message(polled)
    assert polled.events("DataCollectionNoAnswer") == 0


async def test_unexpected_error_is_counted_and_the_poll_goes_on(
    polled: OperatorHarness, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(_: object) -> None:
        raise LookupError("no such key")

    before = COLLECTION_POLL_ERRORS._value.get()
    with monkeypatch.context() as patch:
        patch.setattr(collection_poll, "summarize", fail)
        await polled.play(seconds=31)
    assert COLLECTION_POLL_ERRORS._value.get() == before + 1
    assert "poll of the collectors of Service default/m; it is repeated" in caplog.text
    polled.controller.check_liveness()
    polled.collectors["10.0.0.1"] = REFUSED
    await polled.play(seconds=31)
    assert condition(polled) == ("False", "StorageRefused")


async def test_pods_without_a_collector_are_reported(polled: OperatorHarness) -> None:
    polled.cluster.remove(PODS, "default", "m-1")
    put_pod(polled, "m-2", "10.0.0.2", collects=False)
    await polled.play(seconds=31)
    assert condition(polled) == ("False", "NoCollector")


@pytest.mark.parametrize("change", [{"phase": "Pending"}, {"initContainerStatuses": []}, {"podIP": ""}])
async def test_pods_that_do_not_run_yet_are_not_asked(polled: OperatorHarness, change: Json) -> None:
    polled.cluster.remove(PODS, "default", "m-1")
    put_pod(polled, "m-2", "10.0.0.2", **change)
    await polled.play(seconds=31)
    assert condition(polled) == ("Unknown", "NoReplica")


async def test_condition_ends_with_the_feature(polled: OperatorHarness) -> None:
    polled.change("Service", dataCollection=None)
    await polled.play(seconds=31)
    assert "DataCollection" not in [item["type"] for item in polled.status("Service")["conditions"]]


async def test_start_of_the_operator_keeps_the_condition(polled: OperatorHarness) -> None:
    failures = 1

    def fail(_: int, call: Call) -> None:
        nonlocal failures
        if call == Call("list", PODS.plural) and failures:
            failures -= 1
            raise Rejected("not now")

    await polled.stop()
    polled.cluster.fault = fail
    before = writes(polled)
    await polled.start()
    await polled.play(seconds=10)
    assert (condition(polled), writes(polled)) == (("True", "Working"), before)
    polled.collectors["10.0.0.1"] = REFUSED
    await polled.play(seconds=31)
    assert condition(polled) == ("False", "StorageRefused")


async def test_service_without_a_possible_destination_is_not_configured() -> None:
    platform = OperatorSettings(data_collection=DataCollectionSettings(secret_name=""))
    harness = OperatorHarness(platform)
    await harness.start()
    harness.apply(*sample_objects()[:3], service(dataCollection={"eventHubEnabled": True}))
    await harness.play(seconds=45)
    assert condition(harness) == ("False", "NotConfigured")
    assert "neither dataCollection.eventHub.bootstrapServers nor" in message(harness)
    await harness.stop()


async def test_pods_have_the_ids_of_their_models(polled: OperatorHarness) -> None:
    def origin() -> str:
        metadata = polled.cluster.at(DEPLOYMENTS, "m")["spec"]["template"]["metadata"]
        return str(metadata["annotations"].get(labels.POD_MODELS))

    assert origin() == '["m:1"]'
    generation = polled.cluster.at(DEPLOYMENTS, "m")["metadata"]["generation"]
    polled.change("Service", numReplicas=1)
    await polled.play(seconds=31)
    polled.change("Service", numReplicas=None)
    await polled.play(seconds=31)
    assert origin() == '["m:1"]'
    polled.change("Service", dataCollection=None)
    await polled.play(seconds=31)
    assert origin() == "None"
    assert polled.cluster.at(DEPLOYMENTS, "m")["metadata"]["generation"] > generation


async def test_upgrade_of_a_release_that_ignored_the_field_rolls_nothing() -> None:
    ignoring = OperatorSettings(data_collection=DataCollectionSettings(secret_name=""))
    harness = OperatorHarness(ignoring)
    await harness.start()
    harness.apply(*sample_objects())
    await harness.play()
    # The record of such a release: a version with the field, whose pods and hash are those without it.
    template = harness.cluster.at(DEPLOYMENTS, "m")["spec"]["template"]
    inputs = harness.cluster.at(DEPLOYMENTS, "m")["metadata"]["annotations"][labels.TEMPLATE_INPUTS]
    harness.change("Service", dataCollection=COLLECTING)
    await harness.play()
    assert harness.summary("Service")[0] == "m:2"
    old = {"metadata": {"annotations": {labels.TEMPLATE_INPUTS: inputs}}}
    harness.cluster.change(DEPLOYMENTS, "default", "m", old)
    await harness.stop()
    harness.settings = harness.settings.model_copy(update={"data_collection": DataCollectionSettings()})
    await harness.start()
    await harness.play()
    kept = harness.cluster.at(DEPLOYMENTS, "m")["spec"]["template"]["spec"]
    assert kept == template["spec"]
    harness.change("Service", maxConcurrentRequestsPerContainer=2)
    await harness.play()
    assert harness.cluster.at(DEPLOYMENTS, "m")["spec"]["template"]["spec"]["initContainers"]
    await harness.stop()
