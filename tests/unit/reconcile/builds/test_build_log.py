"""The log of a build: copied to a ConfigMap when it changes, at most once per poll."""

from __future__ import annotations

import pytest
from tests.unit.fake_api_server import Call
from tests.unit.operator_harness import (
    SYSTEM,
    OperatorHarness,
)
from tests.unit.reconcile.test_image import jobs, start_build

from modelyard.api.resources import CUSTOM_RESOURCES
from modelyard.contract.build_request import BuildError, BuildResult
from modelyard.kube.errors import NotFound, Rejected
from modelyard.kube.types import CONFIG_MAPS, JOBS, PODS, Json, Key
from modelyard.reconcile.builds.build_log import POLL_SECONDS
from modelyard.resources.build_job import CONTAINER

NAME = "image-m-1-log"
BROKEN = BuildError(code="PipFailed", step="Build", message="no such package")


def put_pod(harness: OperatorHarness, state: Json) -> str:
    """Create a pod of the running build in this state; return its name."""
    (job,) = jobs(harness)
    name = f"{job}-running"
    metadata = {"name": name, "labels": {"batch.kubernetes.io/job-name": job}}
    harness.cluster.put(PODS, SYSTEM, {**PODS.header(), "metadata": metadata})["status"] = {
        "containerStatuses": [{"name": CONTAINER, "image": "modelyard:dev", "state": state}]
    }
    return name


async def start_logging_build(harness: OperatorHarness, log: str) -> str:
    """Start a build whose pod has this log; return the name of the pod."""
    await start_build(harness)
    name = put_pod(harness, {"running": {}})
    harness.cluster.logs[name] = log
    await harness.play(POLL_SECONDS + 1, alone=True)
    return name


def stored_log(harness: OperatorHarness) -> str:
    return str(harness.cluster.at(CONFIG_MAPS, NAME)["data"]["log"])


async def test_log_is_stored_while_the_build_runs(harness: OperatorHarness) -> None:
    name = await start_logging_build(harness, "[Fetch] model m:1: https://h/1\n")
    assert harness.summary("Image") == ("m:1", "Running", "Building")
    assert stored_log(harness) == "[Fetch] model m:1: https://h/1\n"
    assert harness.status("Image")["imageBuildLogUri"] == CONFIG_MAPS.path("default", NAME)
    assert harness.revision_annotations("Image", 1)["build-log"] == NAME
    harness.cluster.logs[name] += "[Push] model m:1: 40 MiB of 100 MiB\n"
    await harness.play(POLL_SECONDS + 1, alone=True)
    assert stored_log(harness).endswith("[Push] model m:1: 40 MiB of 100 MiB\n")
    assert harness.status("Image")["progress"] == "Push, model m:1: 40 MiB of 100 MiB"


async def test_unchanged_log_is_not_written(harness: OperatorHarness) -> None:
    await start_logging_build(harness, "[Fetch] model m:1: https://h/1\n")
    before = len(harness.cluster.writes)
    await harness.play(600, alone=True)
    assert len(harness.cluster.writes) == before


async def test_log_is_written_once_per_poll_however_many_reconciles_run(harness: OperatorHarness) -> None:
    name = await start_logging_build(harness, "[Fetch] a\n")
    before = len(harness.cluster.writes)
    for number in range(20):
        harness.cluster.logs[name] += f"[Fetch] line {number}\n"
        harness.cluster.change(JOBS, SYSTEM, jobs(harness)[0], {"status": {"ready": number}}, "status")
        for key in (Key(kind, "default", "m") for kind in CUSTOM_RESOURCES):
            harness.queue.add(key)
        await harness.settle()
    assert len(harness.cluster.writes) == before
    await harness.play(POLL_SECONDS + 1, alone=True)
    assert stored_log(harness).endswith("line 19\n")


async def test_progress_has_the_reason_why_a_pod_does_not_start(harness: OperatorHarness) -> None:
    await start_build(harness)
    put_pod(harness, {"waiting": {"reason": "ImagePullBackOff", "message": "no such image"}})
    await harness.play(POLL_SECONDS + 1, alone=True)
    assert "cannot pull modelyard:dev: no such image" in harness.status("Image")["progress"]
    assert "imageBuildLogUri" not in harness.status("Image")


async def test_log_of_a_cancelled_build_stays(harness: OperatorHarness) -> None:
    await start_logging_build(harness, "[Fetch] model m:1: https://h/1\n")
    harness.change("Model", url="https://h/2")
    await harness.settle()
    assert harness.revision_annotations("Image", 1)["state"] == "Cancelled"
    assert harness.revision_annotations("Image", 1)["build-log"] == NAME
    assert stored_log(harness)


async def test_deleted_config_map_is_created_again(harness: OperatorHarness) -> None:
    name = await start_logging_build(harness, "[Fetch] a\n")
    harness.cluster.remove(CONFIG_MAPS, "default", NAME)
    harness.cluster.logs[name] += "[Fetch] b\n"
    await harness.play(3 * POLL_SECONDS, alone=True)
    assert stored_log(harness) == "[Fetch] a\n[Fetch] b\n"


async def test_restarted_operator_continues_the_log(harness: OperatorHarness) -> None:
    name = await start_logging_build(harness, "[Fetch] a\n")
    await harness.stop()
    await harness.start()
    harness.cluster.logs[name] += "[Fetch] b\n"
    await harness.play(POLL_SECONDS + 1, alone=True)
    assert stored_log(harness) == "[Fetch] a\n[Fetch] b\n"


async def test_rejected_log_does_not_fail_the_build(harness: OperatorHarness) -> None:
    def fault(_: int, call: Call) -> None:
        if call.resource == CONFIG_MAPS.plural:
            raise Rejected("exceeded quota", status=403)

    harness.cluster.fault = fault
    await start_logging_build(harness, "[Fetch] a\n")
    await harness.play()
    assert harness.summary("Image") == ("m:1", "Succeeded", "Built")
    with pytest.raises(NotFound):
        harness.cluster.at(CONFIG_MAPS, NAME)
    assert "imageBuildLogUri" not in harness.status("Image")


async def test_long_log_is_cut_at_its_beginning(harness: OperatorHarness) -> None:
    await start_logging_build(harness, "é" * 200_000 + "\n[Push] a: 1 MiB of 2 MiB\n")
    assert stored_log(harness).endswith("1 MiB of 2 MiB\n")
    assert len(stored_log(harness).encode()) <= 32 * 1024


async def test_log_is_stored_whole_at_the_end_of_its_build(harness: OperatorHarness) -> None:
    name = await start_logging_build(harness, "[Fetch] a\n")
    harness.cluster.remove(PODS, SYSTEM, name)
    (job,) = jobs(harness)
    harness.start_pod(job, "")
    long = "x" * 200 * 1024 + "\n"
    harness.end(job, {"message": BuildResult(error=BROKEN).model_dump_json(by_alias=True), "exitCode": 1})
    harness.cluster.logs[f"{job}-x"] = long
    await harness.play(alone=True)
    assert harness.summary("Image")[1] == "Failed"
    assert stored_log(harness) == long


async def test_large_log_of_a_long_build_is_written_seldom(harness: OperatorHarness) -> None:
    """Without the pause, a log of 32 KiB would be written 100 times in 5 minutes."""
    name = await start_logging_build(harness, "x" * 32 * 1024 + "\n")
    before = len(harness.cluster.writes)
    for number in range(100):
        harness.cluster.logs[name] += f"[Fetch] {number}\n"
        await harness.play(POLL_SECONDS + 1, alone=True)
    logs = [call for call in harness.cluster.writes[before:] if call.resource == CONFIG_MAPS.plural]
    assert 5 <= len(logs) <= 20


async def test_pod_that_the_watch_reports_is_not_listed(harness: OperatorHarness) -> None:
    await start_build(harness)
    (job,) = jobs(harness)
    harness.start_pod(job, "[Fetch] a\n")
    await harness.settle()
    before = len(harness.cluster.calls)
    await harness.play(POLL_SECONDS + 1, alone=True)
    assert stored_log(harness) == "[Fetch] a\n"
    assert Call("list", PODS.plural) not in harness.cluster.calls[before:]
