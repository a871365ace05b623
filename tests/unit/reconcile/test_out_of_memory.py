"""Condition OutOfMemory of a Service that serves, although its replicas restart within seconds."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pytest
from tests.unit.operator_harness import OperatorHarness

from modelyard.api import labels
from modelyard.kube.types import DEPLOYMENTS, PODS, Json, Key

LIMITED = {"containers": [{"name": "scoring", "resources": {"limits": {"memory": "64Mi"}}}]}


def set_ready(harness: OperatorHarness, ready: int) -> None:
    status = {"availableReplicas": ready, "readyReplicas": ready}
    harness.cluster.change(DEPLOYMENTS, "default", "m", {"status": status}, "status")


def add_pod(harness: OperatorHarness, name: str = "m-1", *, ago: int = 1, **ended: Any) -> None:
    """Add a pod whose container ended some seconds ago and runs again."""
    finished = (harness.clock.now - dt.timedelta(seconds=ago)).strftime("%Y-%m-%dT%H:%M:%SZ")
    last = {"terminated": {"exitCode": 137, "reason": "OOMKilled", "finishedAt": finished} | ended}
    container = {"name": "scoring", "state": {"running": {}}, "lastState": last, "restartCount": 1}
    body: Json = {
        **PODS.header(),
        "metadata": {"name": name, "labels": labels.selector_of("m")},
        "spec": LIMITED,
        "status": {"containerStatuses": [container]},
    }
    harness.cluster.put(PODS, "default", body)


def message(harness: OperatorHarness) -> str:
    found = [item for item in harness.status("Service")["conditions"] if item["type"] == "OutOfMemory"]
    return found[0]["message"] if found else ""


def pod_lists(harness: OperatorHarness) -> int:
    return sum((call.verb, call.resource) == ("list", PODS.plural) for call in harness.cluster.calls)


async def test_killed_replica_is_reported_with_the_figures_for_an_hour(serving: OperatorHarness) -> None:
    add_pod(serving)
    set_ready(serving, 0)
    await serving.settle()
    assert "pod m-1 ran out of memory: it reached its memory limit of 64Mi" in message(serving)
    set_ready(serving, 1)
    await serving.settle()
    assert "memory limit of 64Mi" in message(serving)
    assert serving.summary("Service") == ("m:1", "Succeeded", "Serving")
    lists = pod_lists(serving)
    serving.clock.move(3000)
    serving.queue.add(Key("Service", "default", "m"))
    await serving.settle()
    assert (bool(message(serving)), pod_lists(serving)) == (True, lists)
    serving.clock.move(1800)
    serving.queue.add(Key("Service", "default", "m"))  # as a resync does
    await serving.settle()
    assert message(serving) == ""


async def test_replica_that_is_ready_again_before_the_reconcile_is_reported(serving: OperatorHarness) -> None:
    serving.clock.move(100)
    add_pod(serving)
    lists = pod_lists(serving)
    available = {
        "type": "Available",
        "status": "True",
        "lastTransitionTime": serving.clock.now.strftime("%Y-%m-%dT%H:%M:%SZ"),
    }
    serving.cluster.change(DEPLOYMENTS, "default", "m", {"status": {"conditions": [available]}}, "status")
    await serving.settle()
    assert "pod m-1 ran out of memory" in message(serving)
    serving.clock.move(100)
    serving.queue.add(Key("Service", "default", "m"))
    await serving.settle()
    assert (bool(message(serving)), pod_lists(serving) - lists) == (True, 1)


async def test_last_of_several_replicas_is_reported(serving: OperatorHarness) -> None:
    add_pod(serving, "m-1", ago=60)
    add_pod(serving, "m-2", ago=5)
    add_pod(serving, "m-3", ago=4000)
    set_ready(serving, 0)
    await serving.settle()
    assert message(serving).startswith("pod m-2 ")


async def test_container_of_a_mesh_is_reported_with_its_own_limit(serving: OperatorHarness) -> None:
    add_pod(serving)
    set_ready(serving, 0)
    ended = {"exitCode": 137, "reason": "OOMKilled", "finishedAt": "2026-01-01T00:00:00Z"}
    sidecar = {"name": "proxy", "state": {"running": {}}, "lastState": {"terminated": ended}}
    resources = {"limits": {"memory": "32Mi"}, "requests": {"memory": "16Mi"}}
    serving.cluster.change(
        PODS, "default", "m-1", {"spec": {"initContainers": [{"name": "proxy", "resources": resources}]}}
    )
    status = {"initContainerStatuses": [sidecar], "containerStatuses": []}
    serving.cluster.change(PODS, "default", "m-1", {"status": status}, "status")
    await serving.settle()
    assert message(serving).startswith(
        "container proxy of pod m-1 ran out of memory: it reached its memory limit of 32Mi, and reserves"
        " 16Mi. Raise the limit in the webhook or the mesh that adds the container"
    )


@pytest.mark.parametrize(
    "ended", [{"exitCode": 1, "reason": "Error"}, {"exitCode": 137, "reason": "Error"}], ids=str
)
async def test_other_end_of_a_replica_is_not_reported(serving: OperatorHarness, ended: Json) -> None:
    add_pod(serving, **ended)
    set_ready(serving, 0)
    await serving.settle()
    assert message(serving) == ""


async def test_next_version_begins_without_the_condition(serving: OperatorHarness) -> None:
    add_pod(serving)
    set_ready(serving, 0)
    await serving.settle()
    set_ready(serving, 1)
    serving.change("Service", maxConcurrentRequestsPerContainer=2)
    serving.cluster.remove(PODS, "default", "m-1")
    await serving.play()
    assert (serving.summary("Service"), message(serving)) == (("m:2", "Succeeded", "Serving"), "")


async def test_service_whose_replicas_are_ready_reads_no_pods(serving: OperatorHarness) -> None:
    lists = pod_lists(serving)
    await serving.play(seconds=3600)
    assert pod_lists(serving) == lists
