"""Images: their builds are found, run, fail, are retried and cancelled."""

from __future__ import annotations

import base64
import itertools
import json
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from tests.unit.operator_harness import (
    SYSTEM,
    OperatorHarness,
    image,
    manifest,
    model,
    sample_objects,
    source_secret,
    succeed,
)

from modelyard.api.names import REGISTRATION
from modelyard.api.resources import CUSTOM_RESOURCES
from modelyard.contract.build_request import (
    BuildError,
    BuildErrorDetail,
    BuildRequest,
    BuildResult,
    Step,
)
from modelyard.kube.errors import Rejected
from modelyard.kube.types import CONFIG_MAPS, JOBS, PODS, SECRETS
from modelyard.oci.errors import (
    RegistryForbiddenError,
    RegistryUnavailableError,
)
from modelyard.settings import BuildSettings, OperatorSettings


def failing(code: str, *, transient: bool = False) -> Callable[[BuildRequest], BuildResult]:
    details = (BuildErrorDetail(code="Log", message="the last lines"),)
    error = BuildError(code=code, message="why", step=Step.BUILD, transient=transient, details=details)
    return lambda request: BuildResult(error=error)


def in_turn(*outcomes: Callable[[BuildRequest], BuildResult]) -> Callable[[BuildRequest], BuildResult]:
    left = list(outcomes)

    def outcome(request: BuildRequest) -> BuildResult:
        return left.pop(0)(request)

    return outcome


def jobs(harness: OperatorHarness) -> list[str]:
    return [job["metadata"]["name"] for job in harness.cluster.all(JOBS)]


async def start_build(harness: OperatorHarness) -> None:
    """Apply the sample objects. The build starts, and ends only if the test ends it."""
    harness.apply(*sample_objects())
    await harness.settle()
    assert harness.summary("Image") == ("m:1", "Running", "Building")


async def test_build_succeeds_with_its_log_and_location(harness: OperatorHarness) -> None:
    await start_build(harness)
    (job,) = jobs(harness)
    request = harness.request(job)
    assert request.repository == "localhost:5000/modelyard/default/m"
    assert [source.source.url for source in request.models] == ["https://h/1"]
    await harness.play()
    status = harness.status("Image")
    assert status["creationState"] == status["state"] == "Succeeded"
    assert status["imageLocation"].startswith("localhost:5000/modelyard/default/m@sha256:")
    assert status["imageBuildLogUri"] == CONFIG_MAPS.path("default", "image-m-1-log")
    assert harness.cluster.at(CONFIG_MAPS, "image-m-1-log")["data"] == {"log": f"log of {job}\n"}
    assert harness.events("Building") == harness.events("Built") == 1


async def test_build_ends_with_its_pod_before_the_job_is_complete(harness: OperatorHarness) -> None:
    await start_build(harness)
    (job,) = jobs(harness)
    result = succeed(harness.request(job))
    harness.end_pod(job, {"exitCode": 0, "message": result.model_dump_json(by_alias=True)})
    harness.cluster.change(JOBS, SYSTEM, job, {"status": {"active": 1}}, "status")
    await harness.settle()
    assert harness.summary("Image") == ("m:1", "Succeeded", "Built")
    assert harness.status("Image")["imageLocation"].endswith(str(result.digest))
    condition = {"type": "Complete", "status": "True"}
    writes = len(harness.cluster.writes)
    harness.cluster.change(JOBS, SYSTEM, job, {"status": {"conditions": [condition]}}, "status")
    await harness.settle()
    assert len(harness.cluster.writes) == writes


PUSHED = f"[Push] pushed r.example/m:t, sha256:{'0' * 64}"


async def test_build_ends_when_log_and_registry_report_the_push(harness: OperatorHarness) -> None:
    await start_build(harness)
    (job,) = jobs(harness)
    request = harness.request(job)
    digest = str(succeed(request).digest)
    harness.registry.images[f"{request.repository}:{request.tag}"] = digest
    harness.start_pod(job, f"[Fetch] model m:1\n{PUSHED}\n")
    await harness.settle()
    assert harness.summary("Image") == ("m:1", "Succeeded", "Built")
    assert harness.status("Image")["imageLocation"].endswith(digest)
    log = harness.cluster.at(CONFIG_MAPS, "image-m-1-log")["data"]["log"]
    assert log.splitlines()[-1] == PUSHED
    await harness.settle()
    writes = len(harness.cluster.writes)
    harness.end(job, {"exitCode": 0, "message": succeed(request).model_dump_json(by_alias=True)})
    await harness.settle()
    assert len(harness.cluster.writes) == writes
    assert harness.events("Building") == harness.events("Built") == 1


async def test_unsigned_image_with_the_tag_is_not_the_result_of_a_build(harness: OperatorHarness) -> None:
    await start_build(harness)
    (job,) = jobs(harness)
    request = harness.request(job)
    _plant(harness, f"{request.repository}:{request.tag}")
    harness.start_pod(job, f"[Fetch] model m:1\n{PUSHED}\n")
    await harness.settle()
    assert harness.summary("Image") == ("m:1", "Running", "Building")


async def test_unsigned_image_with_the_tag_is_not_reused(harness: OperatorHarness) -> None:
    await start_build(harness)
    (job,) = jobs(harness)
    request = harness.request(job)
    other = OperatorHarness()
    await other.start()
    _plant(other, f"{request.repository}:{request.tag}")
    await start_build(other)
    assert len(jobs(other)) == 1
    await other.stop()


def _plant(harness: OperatorHarness, reference: str) -> None:
    harness.registry.images[reference] = f"sha256:{'e' * 64}"
    harness.registry.unsigned.add(reference)


@pytest.mark.parametrize("error", [None, RegistryUnavailableError("away")])
async def test_push_in_the_log_needs_confirmation_by_the_registry(
    harness: OperatorHarness, error: RegistryUnavailableError | None
) -> None:
    await start_build(harness)
    (job,) = jobs(harness)
    harness.registry.error = error
    harness.start_pod(job, f"[Fetch] model m:1\n{PUSHED}\n")
    await harness.settle()
    assert harness.summary("Image") == ("m:1", "Running", "Building")
    harness.registry.error = None
    result = succeed(harness.request(job))
    harness.end(job, {"exitCode": 0, "message": result.model_dump_json(by_alias=True)})
    await harness.settle()
    assert harness.summary("Image") == ("m:1", "Succeeded", "Built")
    assert harness.events("Building") == harness.events("Built") == 1


async def test_log_without_push_changes_nothing(harness: OperatorHarness) -> None:
    await start_build(harness)
    asked = harness.registry.asked
    harness.start_pod(jobs(harness)[0], "[Build] Installing collected packages: six\n")
    await harness.settle()
    assert harness.summary("Image") == ("m:1", "Running", "Building")
    assert harness.registry.asked == asked


async def test_failed_build_reports_the_error_of_the_builder(harness: OperatorHarness) -> None:
    harness.outcome = failing("PipFailed")
    harness.apply(*sample_objects())
    await harness.play(seconds=36000)
    assert harness.summary("Image") == ("m:1", "Failed", "PipFailed")
    assert harness.status("Image")["error"] == {
        "code": "PipFailed",
        "message": "Build: why",
        "statusCode": 400,
        "details": [{"code": "Log", "message": "the last lines"}],
    }
    assert harness.status("Image")["imageBuildLogUri"].endswith("/image-m-1-log")
    assert harness.condition("Image", "Stalled")["status"] == "True"
    assert harness.builds == harness.events("PipFailed") == 1
    assert harness.summary("Service") == ("", "NotStarted", "ImageFailed")


async def test_transient_failure_is_retried_after_doubling_waits(harness: OperatorHarness) -> None:
    outcomes = [failing("RegistryUnavailable", transient=True)] * 2 + [harness.outcome]
    began = []

    def outcome(request: BuildRequest) -> BuildResult:
        began.append(harness.clock.now)
        return outcomes.pop(0)(request)

    harness.outcome = outcome
    harness.apply(*sample_objects())
    await harness.play()
    assert harness.summary("Image") == ("m:1", "Succeeded", "Built")
    assert [round((b - a).total_seconds()) for a, b in itertools.pairwise(began)] == [20, 40]
    assert harness.summary("Service") == ("m:1", "Succeeded", "Serving")


async def test_failed_image_with_pending_retry_is_not_stalled(harness: OperatorHarness) -> None:
    harness.outcome = failing("SourceUnavailable", transient=True)
    harness.apply(*sample_objects())
    await harness.play(seconds=5)
    assert harness.summary("Image") == ("m:1", "Failed", "SourceUnavailable")
    assert harness.condition("Image", "Stalled")["status"] == "False"
    assert "attempt 1 of 20" in harness.condition("Image", "Ready")["message"]


async def test_number_of_attempts_is_bounded(harness: OperatorHarness) -> None:
    harness.outcome = failing("SourceUnavailable", transient=True)
    harness.apply(*sample_objects())
    await harness.play(seconds=36000)
    assert harness.builds == harness.settings.build.attempts
    assert harness.condition("Image", "Stalled")["status"] == "True"


async def test_permanent_failure_after_a_transient_one_ends_the_retries(harness: OperatorHarness) -> None:
    outcomes = [failing("RegistryUnavailable", transient=True), failing("PipFailed")]
    harness.outcome = in_turn(*outcomes)
    harness.apply(*sample_objects())
    await harness.play(seconds=36000)
    assert harness.summary("Image") == ("m:1", "Failed", "PipFailed")
    assert harness.condition("Image", "Stalled")["status"] == "True"
    assert harness.builds == 2


async def test_pending_retry_survives_a_restart(harness: OperatorHarness) -> None:
    outcomes = [failing("RegistryUnavailable", transient=True), harness.outcome]
    harness.outcome = in_turn(*outcomes)
    harness.apply(*sample_objects())
    await harness.play(seconds=5)
    await harness.stop()
    await harness.start()
    await harness.play(seconds=5)
    assert harness.builds == 1
    await harness.play()
    assert harness.summary("Image") == ("m:1", "Succeeded", "Built")
    assert harness.builds == 2


@pytest.mark.parametrize(
    ("terminated", "reason", "code", "again"),
    [
        (None, "DeadlineExceeded", "BuildNotStarted", True),
        ({"exitCode": 143, "reason": "Error"}, "DeadlineExceeded", "BuildDeadlineExceeded", False),
        ({"exitCode": 137, "reason": "OOMKilled"}, "PodFailurePolicy", "BuildOutOfMemory", False),
        ({"exitCode": 255, "reason": "Error"}, "BackoffLimitExceeded", "BuildLost", True),
        (None, "BackoffLimitExceeded", "BuildLost", True),
        ({"exitCode": 1, "message": "Traceback"}, "PodFailurePolicy", "BuildLost", True),
    ],
)
async def test_job_that_ends_without_result_fails_the_build(
    harness: OperatorHarness, terminated: dict[str, Any] | None, reason: str, code: str, again: bool
) -> None:
    await start_build(harness)
    harness.end(jobs(harness)[0], terminated, reason)
    await harness.settle()
    assert harness.summary("Image") == ("m:1", "Failed", code)
    assert (harness.condition("Image", "Stalled")["status"] == "False") is again
    assert harness.status("Image")["error"]["message"]


async def test_evicted_build_names_the_chart_value_to_raise(harness: OperatorHarness) -> None:
    await start_build(harness)
    (job,) = jobs(harness)
    harness.end(job, {"exitCode": 137}, "BackoffLimitExceeded")
    said = 'Usage of EmptyDir volume "workspace" exceeds the limit "20Gi". '
    harness.cluster.at(PODS, f"{job}-x", SYSTEM)["status"] |= {"reason": "Evicted", "message": said}
    await harness.settle()
    assert harness.summary("Image") == ("m:1", "Failed", "BuildEvicted")
    assert harness.condition("Image", "Stalled")["status"] == "True"
    assert harness.status("Image")["error"]["message"] == (
        f"the node ended the build: {said[:-2]}: raise the chart's build.workspaceSize"
    )


@pytest.mark.parametrize("error", [RegistryUnavailableError("down"), RegistryForbiddenError("no")], ids=repr)
async def test_registry_error_fails_the_build(
    harness: OperatorHarness, error: RegistryUnavailableError
) -> None:
    harness.registry.error = error
    harness.apply(*sample_objects())
    await harness.play(seconds=5)
    assert harness.summary("Image") == ("m:1", "Failed", error.code)
    assert jobs(harness) == []
    harness.registry.error = None
    await harness.play()
    assert harness.summary("Image")[1] == "Succeeded"


async def test_rejected_job_fails_the_build(harness: OperatorHarness) -> None:
    def refuse(_: int, call: Any) -> None:
        if (call.verb, call.resource) == ("create", "jobs"):
            raise Rejected("exceeded quota", status=403, reason="Forbidden")

    harness.cluster.fault = refuse
    harness.apply(*sample_objects())
    await harness.play()
    assert harness.summary("Image") == ("m:1", "Failed", "BuildRefused")
    assert harness.condition("Image", "Stalled")["status"] == "False"
    harness.cluster.fault = lambda number, call: None
    await harness.play(seconds=700)
    assert harness.summary("Image") == ("m:1", "Succeeded", "Built")


async def test_deleted_job_is_created_again(harness: OperatorHarness) -> None:
    await start_build(harness)
    (job,) = jobs(harness)
    harness.cluster.remove(JOBS, SYSTEM, job)
    await harness.settle()
    assert jobs(harness) == [job]
    await harness.play()
    assert harness.summary("Image") == ("m:1", "Succeeded", "Built")


async def test_job_created_again_gets_its_own_request(harness: OperatorHarness) -> None:
    """The Secret of the deleted Job outlives its Job: the garbage collector is late."""
    await start_build(harness)
    (job,) = jobs(harness)
    first_uid = harness.cluster.at(JOBS, job, SYSTEM)["metadata"]["uid"]
    harness.cluster.collects = False
    harness.cluster.remove(JOBS, SYSTEM, job)
    await harness.play(seconds=4, alone=True)
    second_uid = harness.cluster.at(JOBS, job, SYSTEM)["metadata"]["uid"]
    assert second_uid != first_uid
    harness.cluster.remove(SECRETS, SYSTEM, job)
    harness.cluster.collects = True
    await harness.play(seconds=30, alone=True)
    (owner,) = harness.cluster.at(SECRETS, job, SYSTEM)["metadata"]["ownerReferences"]
    assert owner["uid"] == second_uid
    await harness.play()
    assert harness.summary("Image") == ("m:1", "Succeeded", "Built")


async def test_newer_version_cancels_the_running_build(harness: OperatorHarness) -> None:
    await start_build(harness)
    (old,) = jobs(harness)
    harness.change("Model", url="https://h/2")
    await harness.settle()
    assert harness.summary("Image") == ("m:2", "Running", "Building")
    assert old not in jobs(harness)
    assert harness.revision_annotations("Image", 1)["state"] == "Cancelled"
    assert harness.events("Cancelled") == 1
    await harness.play()
    assert harness.summary("Service") == ("m:1", "Succeeded", "Serving")
    assert harness.status("Service")["imageId"] == "m:2"
    assert harness.builds == 1


async def test_deletion_of_an_image_deletes_its_job(harness: OperatorHarness) -> None:
    await start_build(harness)
    harness.cluster.remove(CUSTOM_RESOURCES["Image"], "default", "m")
    await harness.settle()
    assert jobs(harness) == []
    assert [s["metadata"]["name"] for s in harness.cluster.all(SECRETS)] == []


async def test_image_deleted_while_the_operator_was_down_loses_its_job(harness: OperatorHarness) -> None:
    await start_build(harness)
    await harness.stop()
    harness.cluster.remove(CUSTOM_RESOURCES["Image"], "default", "m")
    await harness.start()
    await harness.settle()
    assert jobs(harness) == []


@pytest.mark.parametrize("registration", [None, "again"])
async def test_revert_reuses_the_image_of_the_old_content(
    harness: OperatorHarness, registration: str | None
) -> None:
    if registration:
        harness.apply(model() | {"metadata": {"name": "m", "annotations": {REGISTRATION: registration}}})
    harness.apply(*sample_objects()[1:], *([] if registration else [model()]))
    await harness.play()
    first = harness.status("Image")["imageLocation"]
    harness.change("Model", url="https://h/2")
    await harness.play()
    assert harness.status("Image")["imageLocation"] != first
    harness.change("Model", url="https://h/1")
    await harness.play()
    assert harness.status("Image")["imageLocation"] == first
    assert harness.summary("Image")[0] == harness.summary("Model")[0] == "m:3"
    assert harness.status("Service")["imageId"] == "m:3"
    assert harness.builds == 2


async def test_new_registration_builds_again(serving: OperatorHarness) -> None:
    serving.apply(model() | {"metadata": {"name": "m", "annotations": {REGISTRATION: "again"}}})
    await serving.play()
    assert serving.summary("Image") == ("m:2", "Succeeded", "Built")
    assert serving.builds == 2


@pytest.mark.parametrize(
    ("runtime", "code"),
    [
        ({"runtimeType": "SparkPython", "properties": {}}, "RuntimeNotSupported"),
        ({"runtimeType": "Python", "properties": {"pythonVersion": "3.8"}}, "PythonVersionNotOffered"),
        ({"runtimeType": "Python", "properties": {"builder": "Docker"}}, "BuilderNotOffered"),
    ],
)
async def test_runtime_that_is_not_offered_fails_the_build(
    harness: OperatorHarness, runtime: dict[str, Any], code: str
) -> None:
    harness.apply(model(), manifest(targetRuntime=runtime), image())
    await harness.play()
    assert harness.summary("Image") == ("m:1", "Failed", code)
    assert jobs(harness) == []
    mended = {"pythonVersion": "3.12", "builder": None}
    harness.change("Manifest", targetRuntime={"runtimeType": "Python", "properties": mended})
    await harness.play()
    assert harness.summary("Image") == ("m:2", "Succeeded", "Built")


@pytest.mark.parametrize(
    ("default", "asked", "builder"),
    [
        ("Layers", {}, "Layers"),
        ("Layers", {"builder": "Docker"}, "Docker"),
        ("Docker", {}, "Docker"),
        ("Docker", {"builder": "Layers"}, "Layers"),
    ],
)
async def test_builder_is_the_requested_one_or_the_default(
    default: str, asked: dict[str, str], builder: str
) -> None:
    harness = OperatorHarness(
        OperatorSettings.model_validate({"build": {"builder": default, "dockerEnabled": True}})
    )
    await harness.start()
    harness.apply(model(), manifest(targetRuntime={"runtimeType": "Python", "properties": asked}), image())
    await harness.settle()
    (job,) = harness.cluster.all(JOBS)
    volumes = job["spec"]["template"]["spec"]["volumes"]
    assert harness.request(job["metadata"]["name"]).builder == builder
    assert any("hostPath" in volume for volume in volumes) == (builder == "Docker")
    await harness.stop()


async def test_platforms_of_the_chart_are_those_of_the_request_and_exclude_the_docker_builder() -> None:
    platforms = ("linux/amd64", "linux/arm64")
    build = {"dockerEnabled": True, "platforms": platforms}
    harness = OperatorHarness(OperatorSettings.model_validate({"build": build}))
    await harness.start()
    docker = {"runtimeType": "Python", "properties": {"builder": "Docker"}}
    harness.apply(model(), manifest(targetRuntime=docker), image())
    await harness.play()
    assert harness.summary("Image") == ("m:1", "Failed", "BuilderNotOffered")
    message = harness.condition("Image", "Ready")["message"]
    assert "build.platforms has linux/amd64, linux/arm64: leave builder out" in message
    assert jobs(harness) == []
    harness.change("Manifest", targetRuntime={"runtimeType": "Python", "properties": {"builder": None}})
    await harness.settle()
    (job,) = harness.cluster.all(JOBS)
    assert harness.request(job["metadata"]["name"]).platforms == platforms
    await harness.stop()


def _claims(harness: OperatorHarness) -> list[str]:
    """Return the claims that the only build mounts."""
    (job,) = harness.cluster.all(JOBS)
    volumes = job["spec"]["template"]["spec"]["volumes"]
    mounted = (volume.get("persistentVolumeClaim") for volume in volumes)
    return [claim["claimName"] for claim in mounted if claim]


@pytest.fixture
async def with_claims() -> AsyncIterator[OperatorHarness]:
    claims = {"shared": ["*"], "own": ["other", "default"], "private": ["other"]}
    harness = OperatorHarness(OperatorSettings.model_validate({"sources": {"claims": claims}}))
    await harness.start()
    yield harness
    await harness.stop()


@pytest.mark.parametrize("claim", ["shared", "own"])
async def test_build_mounts_the_claim_that_it_reads(with_claims: OperatorHarness, claim: str) -> None:
    with_claims.apply(model(url=f"pvc://{claim}/deep/m.pkl"), manifest(), image())
    await with_claims.settle()
    assert _claims(with_claims) == [claim]


@pytest.mark.parametrize("where", ["assets", "pipRequirements", "condaEnvFile", "nowhere"])
async def test_claim_is_mounted_for_each_kind_of_source(with_claims: OperatorHarness, where: str) -> None:
    url = "pvc://shared/file"
    assets = [{"id": "driver", "content": "x"}] + ([{"id": "data", "url": url}] if where == "assets" else [])
    properties = {where: url} if where in {"pipRequirements", "condaEnvFile"} else {}
    runtime = {"runtimeType": "Python", "properties": properties}
    with_claims.apply(model(), manifest(assets=assets, targetRuntime=runtime), image())
    await with_claims.settle()
    assert _claims(with_claims) == ([] if where == "nowhere" else ["shared"])


@pytest.mark.parametrize("claim", ["private", "unknown", "", "Shared", "..", "u@shared", "shared:1"])
async def test_claim_that_the_namespace_may_not_read_fails_the_build(
    with_claims: OperatorHarness, claim: str
) -> None:
    with_claims.apply(model(url=f"pvc://{claim}/m.pkl"), manifest(), image())
    await with_claims.play()
    assert with_claims.summary("Image") == ("m:1", "Failed", "ClaimNotOffered")
    assert jobs(with_claims) == []
    message = with_claims.status("Image")["error"]["message"]
    assert f"the claim {claim!r} is not offered to namespace default, which may read own, shared" in message
    assert "/m.pkl" in message
    assert "build.sources.claims" in message
    with_claims.change("Model", url="pvc://shared/m.pkl")
    await with_claims.play()
    assert with_claims.summary("Image") == ("m:2", "Succeeded", "Built")


async def test_conda_environment_may_have_any_python_version(harness: OperatorHarness) -> None:
    properties = {"pythonVersion": "3.14", "condaEnvFile": "dependencies: [numpy]"}
    harness.apply(
        model(), manifest(targetRuntime={"runtimeType": "Python", "properties": properties}), image()
    )
    await harness.settle()
    request = harness.request(jobs(harness)[0])
    assert (request.base_image, request.python_version) == ("python:3.11-slim", "3.14")
    assert request.conda_env_file == "dependencies: [numpy]"


@pytest.mark.parametrize(
    ("properties", "image_used"),
    [({}, "spark-3.12"), ({"pythonVersion": "3.13"}, "spark-3.13"), ({"condaEnvFile": "a"}, "spark-3.12")],
)
async def test_spark_uses_its_own_base_images(properties: dict[str, str], image_used: str) -> None:
    harness = OperatorHarness(
        OperatorSettings(build=BuildSettings(spark_images={"3.12": "spark-3.12", "3.13": "spark-3.13"}))
    )
    await harness.start()
    runtime = {"runtimeType": "SparkPython", "properties": properties}
    harness.apply(model(), manifest(targetRuntime=runtime), image())
    await harness.settle()
    request = harness.request(jobs(harness)[0])
    assert (request.spark, request.base_image) == (True, image_used)
    await harness.stop()


CUDA_IMAGES = {"3.12": "cuda-3.12", "3.13": "cuda-3.13"}


@pytest.mark.parametrize(
    ("properties", "image_used", "version"),
    [
        ({"installCuda": "true"}, "cuda-3.12", "12.4"),
        ({"installCuda": "true", "pythonVersion": "3.13"}, "cuda-3.13", "12.4"),
        ({"installCuda": "true", "condaEnvFile": "a"}, "cuda-3.12", "12.4"),
        ({"installCuda": "false"}, "python:3.11-slim", None),
    ],
    ids=str,
)
async def test_cuda_uses_its_own_base_images(
    properties: dict[str, str], image_used: str, version: str | None
) -> None:
    build = BuildSettings(cuda_images=CUDA_IMAGES, cuda_version="12.4")
    harness = OperatorHarness(OperatorSettings(build=build))
    await harness.start()
    runtime = {"runtimeType": "Python", "properties": properties}
    harness.apply(model(), manifest(targetRuntime=runtime), image())
    await harness.settle()
    (job,) = jobs(harness)
    assert (harness.request(job).base_image, harness.request(job).cuda_version) == (image_used, version)
    pod = harness.cluster.at(JOBS, job, SYSTEM)["spec"]["template"]["spec"]
    assert {name for item in pod["containers"] for name in item["resources"]["limits"]} == {"memory"}
    await harness.stop()


@pytest.mark.parametrize(
    ("runtime_type", "images", "words"),
    [("Python", {}, "build.cudaImages"), ("SparkPython", CUDA_IMAGES, "exclude each other")],
)
async def test_cuda_that_is_not_offered_is_reported(
    runtime_type: str, images: dict[str, str], words: str
) -> None:
    harness = OperatorHarness(OperatorSettings(build=BuildSettings(cuda_images=images)))
    await harness.start()
    runtime = {"runtimeType": runtime_type, "properties": {"installCuda": "true"}}
    harness.apply(model(), manifest(targetRuntime=runtime), image())
    await harness.settle()
    assert harness.summary("Image")[2] == "RuntimeNotSupported"
    assert words in harness.status("Image")["error"]["message"]
    await harness.stop()


async def test_python_version_defaults_to_an_offered_one() -> None:
    offered = {"3.11": "old", "3.13": "new"}
    harness = OperatorHarness(
        OperatorSettings(build=BuildSettings(base_images=offered, default_python_version="3.13"))
    )
    await harness.start()
    harness.apply(
        model(),
        manifest(targetRuntime={"runtimeType": "Python", "properties": {"pythonVersion": None}}),
        image(),
    )
    harness.cluster.at(CUSTOM_RESOURCES["Manifest"], "m")["spec"]["targetRuntime"]["properties"] = {}
    await harness.settle()
    assert harness.request(jobs(harness)[0]).base_image == "new"
    await harness.stop()


async def test_build_waits_for_a_missing_secret(harness: OperatorHarness) -> None:
    harness.apply(model(secretRef={"name": "store"}), *sample_objects()[1:])
    await harness.play(seconds=60)
    assert harness.summary("Image") == ("m:1", "NotStarted", "SecretNotFound")
    assert "store" in harness.condition("Image", "Ready")["message"]
    harness.cluster.put(SECRETS, "default", source_secret(token="s3cr3t"))
    await harness.play(seconds=20)
    assert harness.summary("Image")[1] == "Succeeded"
    assert harness.request(jobs(harness)[0]).models[0].source.credentials == {"token": "s3cr3t"}


@pytest.mark.parametrize("outcome", [succeed, failing("SourceForbidden")], ids=["built", "failed"])
async def test_credentials_are_written_to_secrets_only(
    harness: OperatorHarness, outcome: Callable[[BuildRequest], BuildResult]
) -> None:
    """No status, event, revision, log or Job that was ever written has the credentials."""
    asked: list[BuildRequest] = []
    harness.outcome = lambda request: (asked.append(request), outcome(request))[1]
    secret = base64.b64encode(b"s3cr3t").decode()
    harness.cluster.put(SECRETS, "default", source_secret(token="s3cr3t"))
    harness.apply(model(secretRef={"name": "store"}), *sample_objects()[1:])
    await harness.play()
    assert asked[0].models[0].source.credentials == {"token": "s3cr3t"}
    told = [event.body for event in harness.cluster.history if event.resource != SECRETS]
    assert {"Image", "Job", "ConfigMap", "ControllerRevision"} <= {body.get("kind") for body in told}
    assert not [text for text in ("s3cr3t", secret) if text in json.dumps(told)]


async def test_secret_deleted_during_the_build_changes_nothing(harness: OperatorHarness) -> None:
    harness.cluster.put(SECRETS, "default", source_secret(token="s3cr3t"))
    harness.apply(model(secretRef={"name": "store"}), *sample_objects()[1:])
    await harness.settle()
    harness.cluster.remove(SECRETS, "default", "store")
    await harness.play(seconds=200, alone=True)
    assert harness.summary("Image") == ("m:1", "Running", "Building")


async def test_models_have_the_order_and_versions_of_the_manifest(harness: OperatorHarness) -> None:
    harness.apply(model("a"), model("b"))
    await harness.play()
    harness.change("Model", on="a", url="https://h/2")
    await harness.play()
    harness.apply(manifest(modelIds=["b", "a:1"]), image())
    await harness.settle()
    request = harness.request(jobs(harness)[0])
    assert [(m.name, m.version, m.source.url) for m in request.models] == [
        ("b", 1, "https://h/1"),
        ("a", 1, "https://h/1"),
    ]
    await harness.play()
    builds = harness.builds
    harness.change("Model", on="a", url="https://h/3")
    await harness.play()
    assert harness.builds == builds
    assert harness.status("Manifest")["modelIds"] == ["b:1", "a:1"]


async def test_pinned_manifest_is_not_followed(harness: OperatorHarness) -> None:
    harness.apply(model(), manifest(), image(manifestId="m:1"))
    await harness.play()
    harness.change("Model", url="https://h/2")
    await harness.play()
    assert harness.summary("Manifest")[0] == "m:2"
    assert harness.status("Image")["manifestId"] == "m:1"
    assert harness.builds == 1


async def test_image_waits_for_a_pinned_version_that_does_not_exist(harness: OperatorHarness) -> None:
    harness.apply(model(), manifest(), image(manifestId="m:2"))
    await harness.play()
    assert harness.summary("Image") == ("", "NotStarted", "ManifestNotFound")
    assert "newest version is 1" in harness.condition("Image", "Ready")["message"]
    harness.change("Model", url="https://h/2")
    await harness.play()
    assert harness.summary("Image") == ("m:1", "Succeeded", "Built")


async def test_build_waits_for_a_model_deleted_before_it(harness: OperatorHarness) -> None:
    harness.apply(model(), manifest())
    await harness.play()
    harness.cluster.remove(CUSTOM_RESOURCES["Model"], "default", "m")
    harness.apply(image())
    await harness.play(seconds=5)
    assert harness.summary("Image") == ("m:1", "NotStarted", "ModelNotFound")
    harness.apply(model())
    await harness.play(seconds=20)
    assert harness.summary("Image") == ("m:1", "Succeeded", "Built")


async def test_log_does_not_overwrite_a_config_map_of_another_owner(harness: OperatorHarness) -> None:
    notes = {"metadata": {"name": "image-m-1-log"}, "data": {"log": "mine"}}
    await harness.cluster.create(CONFIG_MAPS, "default", notes)
    harness.apply(*sample_objects())
    await harness.play()
    assert harness.summary("Image") == ("m:1", "Succeeded", "Built")
    assert harness.cluster.at(CONFIG_MAPS, "image-m-1-log")["data"] == {"log": "mine"}
    assert "imageBuildLogUri" not in harness.status("Image")
