"""A Service with minReplicas 0: asleep it is Ready, and a change or a wake does not make it fail."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from tests.unit.fake_api_server import Call
from tests.unit.operator_harness import OperatorHarness, image, manifest, model, service

from modelyard.api import labels
from modelyard.kube.errors import Conflict
from modelyard.kube.types import AUTOSCALERS, DEPLOYMENTS, PODS, Json
from modelyard.resources.serving import template_hash
from modelyard.settings import OperatorSettings, ScoringSettings

SLEEPING = {"minReplicas": 0, "maxReplicas": 3}


@pytest.fixture
async def asleep() -> AsyncIterator[OperatorHarness]:
    """An operator with a Service that rolled out, and that the scaler then set to 0 replicas."""
    harness = OperatorHarness(OperatorSettings(scoring=ScoringSettings(wake_seconds=90)))
    await harness.start()
    harness.apply(model(), manifest(), image(), service(autoScaler=SLEEPING))
    await harness.play(seconds=10)
    assert replicas(harness) == 1  # a new Service starts one replica, which shows a crash
    assert harness.summary("Service")[1] == "Succeeded"
    await scale(harness, 0)
    yield harness
    await harness.stop()


def replicas(harness: OperatorHarness) -> int:
    count: int = harness.cluster.at(DEPLOYMENTS, "m")["spec"]["replicas"]
    return count


async def scale(harness: OperatorHarness, count: int, *, ready: bool = True) -> None:
    """Set the number of replicas, as the scaler and the activator do."""
    harness.cluster.change(DEPLOYMENTS, "default", "m", {"spec": {"replicas": count}})
    harness.roll("m", ready=ready)
    await harness.settle()


def conditions(harness: OperatorHarness) -> dict[str, tuple[str, str]]:
    found = harness.status("Service")["conditions"]
    return {one["type"]: (one["status"], one["reason"]) for one in found}


async def test_service_without_replicas_is_ready_and_stays_at_zero(asleep: OperatorHarness) -> None:
    await asleep.play(seconds=1000)
    assert replicas(asleep) == 0
    found = conditions(asleep)
    assert found["ScaledToZero"] == ("True", "Idle")
    assert found["Available"] == ("True", "ScaledToZero")
    assert found["Ready"][0] == "True"
    assert "Waking" not in found
    assert asleep.events("ScaledToZero") == 1
    assert asleep.cluster.at(AUTOSCALERS, "m")["spec"]["minReplicas"] == 1


async def test_conflict_of_the_status_repeats_no_event(asleep: OperatorHarness) -> None:
    def refuse_once(_: int, call: Call) -> None:
        if call == Call("patch", "services", "m", "status"):
            asleep.cluster.fault = lambda number, call: None
            raise Conflict("the object has been modified")

    asleep.cluster.fault = refuse_once
    await scale(asleep, 1)
    await asleep.play()
    assert conditions(asleep)["ScaledToZero"] == ("False", "Active")
    assert asleep.events("Waking") == 1


async def test_wake_is_no_failure(asleep: OperatorHarness) -> None:
    await scale(asleep, 1, ready=False)
    found = conditions(asleep)
    assert found["Waking"] == ("True", "ReplicaStarting")
    assert found["ScaledToZero"] == ("False", "Active")
    assert (found["Ready"][0], found["Available"][0]) == ("True", "True")
    assert asleep.events("Waking") == 1
    await scale(asleep, 1)
    found = conditions(asleep)
    assert "Waking" not in found
    assert found["Available"] == ("True", "ReplicaAvailable")


def crashed_pod(harness: OperatorHarness) -> Json:
    mark = template_hash(harness.cluster.at(DEPLOYMENTS, "m"))
    container = {
        "name": "scoring",
        "image": "i@sha256:1",
        "state": {"waiting": {"reason": "CrashLoopBackOff"}},
        "restartCount": 3,
        "lastState": {"terminated": {"exitCode": 1, "finishedAt": "2027-01-01T00:00:00Z"}},
    }
    annotations = {labels.TEMPLATE_HASH: mark}
    return {
        "metadata": {"name": "m-2", "labels": labels.selector_of("m"), "annotations": annotations},
        "status": {"containerStatuses": [container]},
    }


async def test_wake_has_as_long_as_the_activator_holds_a_request(asleep: OperatorHarness) -> None:
    asleep.serves = False
    await scale(asleep, 1, ready=False)
    await asleep.play(seconds=80, alone=True)
    assert conditions(asleep)["Waking"] == ("True", "ReplicaStarting")
    await asleep.play(seconds=100, alone=True)
    assert conditions(asleep)["Waking"] == ("False", "Overdue")
    assert "after 90 s" in asleep.condition("Service", "Waking")["message"]


async def test_overdue_wake_has_the_cause_of_its_pod(asleep: OperatorHarness) -> None:
    asleep.serves = False
    asleep.cluster.put(PODS, "default", crashed_pod(asleep))
    await scale(asleep, 1, ready=False)
    await asleep.play(seconds=300)
    message = asleep.condition("Service", "Ready")["message"]
    assert message == "no replica of m:1 is available: pod m-2 ended with exit code 1"


async def test_replica_that_does_not_start_is_reported(asleep: OperatorHarness) -> None:
    asleep.serves = False
    await scale(asleep, 1, ready=False)
    assert conditions(asleep)["Ready"][0] == "True"
    await asleep.play(seconds=300)
    for _ in range(3):
        found = conditions(asleep)
        assert found["Waking"] == ("False", "Overdue")
        assert (found["Ready"], found["Available"][0]) == (("False", "Unavailable"), "False")
        await asleep.play(seconds=300)
    await scale(asleep, 1)
    assert conditions(asleep)["Ready"][0] == "True"


async def test_new_version_succeeds_without_a_wake(asleep: OperatorHarness) -> None:
    asleep.change("Service", maxConcurrentRequestsPerContainer=3)
    await asleep.play(seconds=30)
    harness_version = asleep.status("Service")["version"]
    assert (harness_version, replicas(asleep)) == (2, 0)
    assert asleep.summary("Service")[1] == "Succeeded"


async def test_min_replicas_one_wakes_the_service(asleep: OperatorHarness) -> None:
    asleep.change("Service", autoScaler={"minReplicas": 1, "maxReplicas": 3})
    await asleep.settle()
    assert replicas(asleep) == 1
    asleep.roll("m")
    await asleep.settle()
    assert "ScaledToZero" not in conditions(asleep)


async def test_num_replicas_counts_at_once(asleep: OperatorHarness) -> None:
    asleep.change("Service", numReplicas=2)
    await asleep.settle()
    assert replicas(asleep) == 2


async def test_without_an_activator_zero_acts_as_one() -> None:
    harness = OperatorHarness(OperatorSettings(scoring=ScoringSettings(scales_to_zero=False)))
    await harness.start()
    harness.apply(model(), manifest(), image(), service(autoScaler=SLEEPING))
    await harness.play(seconds=10)
    await scale(harness, 0)
    assert replicas(harness) == 1
    assert conditions(harness)["ScalesToZero"] == ("False", "NotOffered")
    assert harness.cluster.at(AUTOSCALERS, "m")["spec"]["minReplicas"] == 1
    await harness.stop()
