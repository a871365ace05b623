"""Sweep of all pods: restarts and unhealthy devices that no Deployment shows."""

from __future__ import annotations

import datetime as dt
import itertools
from types import SimpleNamespace
from typing import Any

import pytest
from tests.unit.fake_api_server import Call
from tests.unit.operator_harness import OperatorHarness, service

from modelyard.api import labels
from modelyard.controller import pod_sweep
from modelyard.controller.pod_sweep import SWEEP_SECONDS
from modelyard.kube.errors import Rejected
from modelyard.kube.types import AUTOSCALERS, DEPLOYMENTS, PODS, Json
from modelyard.reconcile.services.replica_report import DEVICE_UNHEALTHY, OUT_OF_MEMORY

LIMITED = {"containers": [{"name": "scoring", "resources": {"limits": {"memory": "64Mi"}}}]}


def put_pod(harness: OperatorHarness, name: str = "m-1", **container: Any) -> None:
    status = {
        "containerStatuses": [{"name": "scoring", "state": {"running": {}}, "restartCount": 0} | container]
    }
    metadata = {"name": name, "labels": labels.labels_of("Service", "m")}
    harness.cluster.put(PODS, "default", {"metadata": metadata, "spec": LIMITED, "status": status})


def kill(harness: OperatorHarness, name: str = "m-1", *, ago: int = 1, reason: str = "OOMKilled") -> None:
    """End the container of a pod some seconds ago; it runs again, and its Deployment shows nothing."""
    finished = (harness.clock.now - dt.timedelta(seconds=ago)).strftime("%Y-%m-%dT%H:%M:%SZ")
    last = {"terminated": {"exitCode": 137, "reason": reason, "finishedAt": finished}}
    (container,) = harness.cluster.at(PODS, name)["status"]["containerStatuses"]
    count = container["restartCount"] + 1
    status = {"containerStatuses": [container | {"lastState": last, "restartCount": count}]}
    harness.cluster.change(PODS, "default", name, {"status": status}, "status")


def message(harness: OperatorHarness, type_: str = OUT_OF_MEMORY) -> str:
    found = [item for item in harness.status("Service")["conditions"] if item["type"] == type_]
    return found[0]["message"] if found else ""


def status_writes(harness: OperatorHarness) -> int:
    return sum(call.subresource == "status" for call in harness.cluster.writes)


async def test_kill_that_no_deployment_shows_is_reported_within_seconds(swept: OperatorHarness) -> None:
    put_pod(swept)
    kill(swept)
    await swept.play(seconds=11)
    assert "pod m-1 ran out of memory: it reached its memory limit of 64Mi" in message(swept)
    assert swept.summary("Service") == ("m:1", "Succeeded", "Serving")


async def test_other_restart_is_not_reported(swept: OperatorHarness) -> None:
    put_pod(swept)
    kill(swept, reason="Error")
    before = status_writes(swept)
    await swept.play(seconds=60)
    assert (message(swept), status_writes(swept)) == ("", before)


async def test_later_kill_is_reported_and_an_unchanged_number_is_not_read(swept: OperatorHarness) -> None:
    put_pod(swept)
    kill(swept, reason="Error")
    await swept.play(seconds=11)
    lists = len(swept.cluster.calls)
    await swept.play(seconds=300)
    sweeps = [Call("list", plural) for plural in (PODS.plural, AUTOSCALERS.plural)]
    others = [call for call in swept.cluster.calls[lists:] if call not in sweeps]
    assert others == []
    kill(swept)
    await swept.play(seconds=11)
    assert "pod m-1 ran out of memory" in message(swept)


async def test_replicas_that_run_out_of_memory_again_and_again_write_once_in_a_minute(
    swept: OperatorHarness,
) -> None:
    for number in range(5):
        put_pod(swept, f"m-{number}")
    before = status_writes(swept)
    for turn in range(60):
        kill(swept, f"m-{turn % 5}")
        swept.clock.move(10)
        await swept.settle()
    assert 9 <= status_writes(swept) - before <= 11


async def test_kill_of_the_time_without_an_operator_is_reported(swept: OperatorHarness) -> None:
    put_pod(swept)
    await swept.stop()
    kill(swept)
    swept.clock.move(1800)
    await swept.start()
    await swept.play(seconds=1)
    assert "pod m-1 ran out of memory" in message(swept)


async def test_restarts_of_days_ago_are_not_read_at_the_start(swept: OperatorHarness) -> None:
    put_pod(swept)
    await swept.stop()
    kill(swept, ago=3 * 86400)
    before = len(swept.cluster.calls)
    await swept.start()
    await swept.play(seconds=60)
    reads = [call for call in swept.cluster.calls[before:] if call == Call("list", PODS.plural)]
    assert len(reads) == 1 + 6  # the build pods, and the sweeps


async def test_kill_of_an_old_replica_is_reported_beside_a_failed_rollout(swept: OperatorHarness) -> None:
    put_pod(swept)
    swept.serves = False
    swept.change("Service", maxConcurrentRequestsPerContainer=2)
    await swept.play(seconds=5)
    kill(swept)
    await swept.play(seconds=11)
    assert swept.summary("Service")[:2] == ("m:2", "Running")
    assert "pod m-1 ran out of memory" in message(swept)
    await swept.play(seconds=60)
    assert "pod m-1 ran out of memory" in message(swept)


async def test_report_outlives_the_pod_by_an_hour(swept: OperatorHarness) -> None:
    put_pod(swept)
    kill(swept)
    await swept.play(seconds=11)
    swept.cluster.remove(PODS, "default", "m-1")
    swept.cluster.change(DEPLOYMENTS, "default", "m", {"status": {"readyReplicas": 0}}, "status")
    await swept.play(seconds=11)
    assert "pod m-1 ran out of memory" in message(swept)


async def test_failed_list_of_pods_is_repeated(swept: OperatorHarness) -> None:
    failures = 2

    def fail(_: int, call: Call) -> None:
        nonlocal failures
        if call == Call("list", PODS.plural) and failures:
            failures -= 1
            raise Rejected("the list is too large")

    swept.cluster.fault = fail
    put_pod(swept)
    kill(swept)
    await swept.play(seconds=35)
    assert "pod m-1 ran out of memory" in message(swept)


async def test_pause_lasts_as_long_as_twenty_sweeps(
    swept: OperatorHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    seconds = itertools.count(step=2.0)
    monkeypatch.setattr(pod_sweep, "time", SimpleNamespace(monotonic=lambda: next(seconds)))
    before = len(swept.cluster.calls)
    await swept.play(seconds=121)
    lists = swept.cluster.calls[before:].count(Call("list", PODS.plural))
    assert 3 <= lists <= 4


def set_health(harness: OperatorHarness, health: str) -> None:
    (container,) = harness.cluster.at(PODS, "m-1")["status"]["containerStatuses"]
    devices = [{"name": "nvidia.com/gpu", "resources": [{"resourceID": "gpu-0", "health": health}]}]
    status = {"containerStatuses": [container | {"allocatedResourcesStatus": devices}]}
    harness.cluster.change(PODS, "default", "m-1", {"status": status}, "status")


async def test_unhealthy_device_is_reported_until_it_is_healthy(swept: OperatorHarness) -> None:
    limits: Json = {"resources": {"limits": {"nvidia.com/gpu": 1}}}
    swept.change("Service", pod=limits)
    put_pod(swept)
    set_health(swept, "Unhealthy")
    await swept.play(seconds=11)
    assert "device gpu-0 of nvidia.com/gpu in pod m-1 is unhealthy" in message(swept, DEVICE_UNHEALTHY)
    assert swept.summary("Service") == ("m:2", "Succeeded", "Serving")
    before = status_writes(swept)
    await swept.play(seconds=120)
    assert status_writes(swept) == before
    set_health(swept, "Healthy")
    await swept.play(seconds=11)
    assert message(swept, DEVICE_UNHEALTHY) == ""


async def test_each_sweep_reads_the_pods_of_a_bounded_number_of_services_with_devices(
    swept: OperatorHarness,
) -> None:
    limits: Json = {"resources": {"limits": {"nvidia.com/gpu": 1}}}
    for number in range(60):
        swept.apply(service(f"s-{number}", pod=limits))
    await swept.play(seconds=30)
    reads: list[int] = []
    for _ in range(3):
        before = len(swept.cluster.calls)
        swept.clock.move(SWEEP_SECONDS)
        await swept.settle()
        reads.append(swept.cluster.calls[before:].count(Call("list", PODS.plural)) - 1)
    assert reads == [50] * 3


async def test_each_sweep_lists_a_bounded_number_of_namespaces(swept: OperatorHarness) -> None:
    for number in range(60):
        swept.cluster.apply(service(), f"n-{number}")
    await swept.play(seconds=30)
    lists: list[int] = []
    for _ in range(3):
        before = len(swept.cluster.calls)
        swept.clock.move(SWEEP_SECONDS)
        await swept.settle()
        lists.append(swept.cluster.calls[before:].count(Call("list", PODS.plural)))
    assert lists == [50] * 3
