"""Builds: found, run, failed, tried again, cancelled."""

from __future__ import annotations

import base64
import itertools
import json
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from tests.unit.operator_harness import (
    SYSTEM,
    World,
    everything,
    image,
    manifest,
    model,
    succeed,
)

from modelyard.api.names import REGISTRATION
from modelyard.contract.build_request import (
    BuildError,
    BuildRequest,
    BuildResult,
    ErrorDetail,
    Step,
)
from modelyard.contract.errors import (
    RegistryForbiddenError,
    RegistryUnavailableError,
)
from modelyard.kube.errors import Rejected
from modelyard.kube.types import CONFIG_MAPS, CUSTOM_RESOURCES, JOBS, PODS, SECRETS
from modelyard.settings import BuildSettings, OperatorSettings


def failing(code: str, *, transient: bool = False) -> Callable[[BuildRequest], BuildResult]:
    details = (ErrorDetail(code="Log", message="the last lines"),)
    error = BuildError(code=code, message="why", step=Step.BUILD, transient=transient, details=details)
    return lambda request: BuildResult(error=error)


def in_turn(*outcomes: Callable[[BuildRequest], BuildResult]) -> Callable[[BuildRequest], BuildResult]:
    left = list(outcomes)

    def outcome(request: BuildRequest) -> BuildResult:
        return left.pop(0)(request)

    return outcome


def jobs(world: World) -> list[str]:
    return [job["metadata"]["name"] for job in world.cluster.all(JOBS)]


async def begin(world: World) -> None:
    """Apply everything; the build has begun and does not end by itself."""
    world.apply(*everything())
    await world.settle()
    assert world.said("Image") == ("m:1", "Running", "Building")


async def test_a_build(world: World) -> None:
    await begin(world)
    (job,) = jobs(world)
    request = world.request(job)
    assert request.repository == "localhost:5000/modelyard/default/m"
    assert [source.source.url for source in request.models] == ["https://h/1"]
    await world.play()
    status = world.status("Image")
    assert status["creationState"] == status["state"] == "Succeeded"
    assert status["imageLocation"].startswith("localhost:5000/modelyard/default/m@sha256:")
    assert status["imageBuildLogUri"] == CONFIG_MAPS.path("default", "image-m-1-log")
    assert world.cluster.at(CONFIG_MAPS, "image-m-1-log")["data"] == {"log": f"log of {job}\n"}
    assert world.events("Building") == world.events("Built") == 1


async def test_a_build_whose_job_has_still_to_say_that_it_is_complete(world: World) -> None:
    await begin(world)
    (job,) = jobs(world)
    result = succeed(world.request(job))
    world.end_pod(job, {"exitCode": 0, "message": result.model_dump_json(by_alias=True)})
    world.cluster.change(JOBS, SYSTEM, job, {"status": {"active": 1}}, "status")
    await world.settle()
    assert world.said("Image") == ("m:1", "Succeeded", "Built")
    assert world.status("Image")["imageLocation"].endswith(str(result.digest))
    condition = {"type": "Complete", "status": "True"}
    writes = len(world.cluster.writes)
    world.cluster.change(JOBS, SYSTEM, job, {"status": {"conditions": [condition]}}, "status")
    await world.settle()
    assert len(world.cluster.writes) == writes


PUSHED = f"[Push] pushed r.example/m:t, sha256:{'0' * 64}"


async def test_a_build_has_ended_when_its_log_and_the_registry_say_so(world: World) -> None:
    await begin(world)
    (job,) = jobs(world)
    request = world.request(job)
    digest = str(succeed(request).digest)
    world.registry.images[f"{request.repository}:{request.tag}"] = digest
    world.start_pod(job, f"[Fetch] model m:1\n{PUSHED}\n")
    await world.settle()
    assert world.said("Image") == ("m:1", "Succeeded", "Built")
    assert world.status("Image")["imageLocation"].endswith(digest)
    log = world.cluster.at(CONFIG_MAPS, "image-m-1-log")["data"]["log"]
    assert log.splitlines()[-1] == PUSHED
    await world.settle()
    writes = len(world.cluster.writes)
    world.end(job, {"exitCode": 0, "message": succeed(request).model_dump_json(by_alias=True)})
    await world.settle()
    assert len(world.cluster.writes) == writes
    assert world.events("Building") == world.events("Built") == 1


@pytest.mark.parametrize("error", [None, RegistryUnavailableError("away")])
async def test_a_log_alone_is_not_believed(world: World, error: RegistryUnavailableError | None) -> None:
    await begin(world)
    (job,) = jobs(world)
    world.registry.error = error
    world.start_pod(job, f"[Fetch] model m:1\n{PUSHED}\n")
    await world.settle()
    assert world.said("Image") == ("m:1", "Running", "Building")
    world.registry.error = None
    result = succeed(world.request(job))
    world.end(job, {"exitCode": 0, "message": result.model_dump_json(by_alias=True)})
    await world.settle()
    assert world.said("Image") == ("m:1", "Succeeded", "Built")
    assert world.events("Building") == world.events("Built") == 1


async def test_a_log_that_says_nothing_of_an_end_changes_nothing(world: World) -> None:
    await begin(world)
    asked = world.registry.asked
    world.start_pod(jobs(world)[0], "[Build] Installing collected packages: six\n")
    await world.settle()
    assert world.said("Image") == ("m:1", "Running", "Building")
    assert world.registry.asked == asked


async def test_a_build_that_fails(world: World) -> None:
    world.outcome = failing("PipFailed")
    world.apply(*everything())
    await world.play(seconds=36000)
    assert world.said("Image") == ("m:1", "Failed", "PipFailed")
    assert world.status("Image")["error"] == {
        "code": "PipFailed",
        "message": "Build: why",
        "statusCode": 400,
        "details": [{"code": "Log", "message": "the last lines"}],
    }
    assert world.status("Image")["imageBuildLogUri"].endswith("/image-m-1-log")
    assert world.condition("Image", "Stalled")["status"] == "True"
    assert world.builds == world.events("PipFailed") == 1
    assert world.said("Service") == ("", "NotStarted", "ImageFailed")


async def test_a_transient_failure_is_tried_again_later_each_time(world: World) -> None:
    outcomes = [failing("RegistryUnavailable", transient=True)] * 2 + [world.outcome]
    began = []

    def outcome(request: BuildRequest) -> BuildResult:
        began.append(world.clock.time)
        return outcomes.pop(0)(request)

    world.outcome = outcome
    world.apply(*everything())
    await world.play()
    assert world.said("Image") == ("m:1", "Succeeded", "Built")
    assert [round((b - a).total_seconds()) for a, b in itertools.pairwise(began)] == [20, 40]
    assert world.said("Service") == ("m:1", "Succeeded", "Serving")


async def test_while_it_is_tried_again_it_is_not_stalled(world: World) -> None:
    world.outcome = failing("RegistryUnavailable", transient=True)
    world.apply(*everything())
    await world.play(seconds=5)
    assert world.said("Image") == ("m:1", "Failed", "RegistryUnavailable")
    assert world.condition("Image", "Stalled")["status"] == "False"
    assert "attempt 1 of 20" in world.condition("Image", "Ready")["message"]


async def test_tries_are_bounded(world: World) -> None:
    world.outcome = failing("RegistryUnavailable", transient=True)
    world.apply(*everything())
    await world.play(seconds=36000)
    assert world.builds == world.settings.build.attempts
    assert world.condition("Image", "Stalled")["status"] == "True"


async def test_a_failure_for_good_after_a_transient_one(world: World) -> None:
    outcomes = [failing("RegistryUnavailable", transient=True), failing("PipFailed")]
    world.outcome = in_turn(*outcomes)
    world.apply(*everything())
    await world.play(seconds=36000)
    assert world.said("Image") == ("m:1", "Failed", "PipFailed")
    assert world.condition("Image", "Stalled")["status"] == "True"
    assert world.builds == 2


async def test_a_waiting_retry_survives_a_restart(world: World) -> None:
    outcomes = [failing("RegistryUnavailable", transient=True), world.outcome]
    world.outcome = in_turn(*outcomes)
    world.apply(*everything())
    await world.play(seconds=5)
    await world.stop()
    await world.start()
    await world.play(seconds=5)
    assert world.builds == 1
    await world.play()
    assert world.said("Image") == ("m:1", "Succeeded", "Built")
    assert world.builds == 2


@pytest.mark.parametrize(
    ("terminated", "reason", "code", "again"),
    [
        (None, "DeadlineExceeded", "BuildDeadlineExceeded", False),
        ({"exitCode": 137, "reason": "OOMKilled"}, "PodFailurePolicy", "BuildOutOfMemory", False),
        ({"exitCode": 255, "reason": "Error"}, "BackoffLimitExceeded", "BuildLost", True),
        (None, "BackoffLimitExceeded", "BuildLost", True),
        ({"exitCode": 1, "message": "Traceback"}, "PodFailurePolicy", "BuildLost", True),
    ],
)
async def test_a_build_that_ends_without_a_word(
    world: World, terminated: dict[str, Any] | None, reason: str, code: str, again: bool
) -> None:
    await begin(world)
    world.end(jobs(world)[0], terminated, reason)
    await world.settle()
    assert world.said("Image") == ("m:1", "Failed", code)
    assert (world.condition("Image", "Stalled")["status"] == "False") is again
    assert world.status("Image")["error"]["message"]


async def test_a_build_without_room_says_what_to_raise(world: World) -> None:
    await begin(world)
    (job,) = jobs(world)
    world.end(job, {"exitCode": 137}, "BackoffLimitExceeded")
    said = 'Usage of EmptyDir volume "workspace" exceeds the limit "20Gi". '
    world.cluster.at(PODS, f"{job}-x", SYSTEM)["status"] |= {"reason": "Evicted", "message": said}
    await world.settle()
    assert world.said("Image") == ("m:1", "Failed", "BuildEvicted")
    assert world.condition("Image", "Stalled")["status"] == "True"
    assert world.status("Image")["error"]["message"] == (
        f"the node ended the build: {said[:-2]}: raise the chart's build.workspaceSize"
    )


@pytest.mark.parametrize("error", [RegistryUnavailableError("down"), RegistryForbiddenError("no")], ids=repr)
async def test_a_registry_that_cannot_say(world: World, error: RegistryUnavailableError) -> None:
    world.registry.error = error
    world.apply(*everything())
    await world.play(seconds=5)
    assert world.said("Image") == ("m:1", "Failed", error.code)
    assert jobs(world) == []
    world.registry.error = None
    await world.play()
    assert world.said("Image")[1] == ("Succeeded" if error.transient else "Failed")


async def test_a_job_that_is_refused(world: World) -> None:
    def refuse(_: int, call: Any) -> None:
        if (call.verb, call.resource) == ("create", "jobs"):
            raise Rejected("exceeded quota", status=403, reason="Forbidden")

    world.cluster.fault = refuse
    world.apply(*everything())
    await world.play()
    assert world.said("Image") == ("m:1", "Failed", "BuildRefused")


async def test_a_job_that_somebody_deletes_is_started_again(world: World) -> None:
    await begin(world)
    (job,) = jobs(world)
    world.cluster.remove(JOBS, SYSTEM, job)
    await world.settle()
    assert jobs(world) == [job]
    await world.play()
    assert world.said("Image") == ("m:1", "Succeeded", "Built")


async def test_a_newer_version_cancels_the_build_of_the_older(world: World) -> None:
    await begin(world)
    (old,) = jobs(world)
    world.change("Model", url="https://h/2")
    await world.settle()
    assert world.said("Image") == ("m:2", "Running", "Building")
    assert old not in jobs(world)
    assert world.record("Image", 1)["state"] == "Cancelled"
    assert world.events("Cancelled") == 1
    await world.play()
    assert world.said("Service") == ("m:1", "Succeeded", "Serving")
    assert world.status("Service")["imageId"] == "m:2"
    assert world.builds == 1


async def test_a_deleted_image_takes_its_build_along(world: World) -> None:
    await begin(world)
    world.cluster.remove(CUSTOM_RESOURCES["Image"], "default", "m")
    await world.settle()
    assert jobs(world) == []
    assert [s["metadata"]["name"] for s in world.cluster.all(SECRETS)] == []


async def test_and_also_when_it_was_deleted_while_the_operator_was_away(world: World) -> None:
    await begin(world)
    await world.stop()
    world.cluster.remove(CUSTOM_RESOURCES["Image"], "default", "m")
    await world.start()
    await world.settle()
    assert jobs(world) == []


@pytest.mark.parametrize("registration", [None, "again"])
async def test_a_revert_reuses_the_image(world: World, registration: str | None) -> None:
    if registration:
        world.apply(model() | {"metadata": {"name": "m", "annotations": {REGISTRATION: registration}}})
    world.apply(*everything()[1:], *([] if registration else [model()]))
    await world.play()
    first = world.status("Image")["imageLocation"]
    world.change("Model", url="https://h/2")
    await world.play()
    assert world.status("Image")["imageLocation"] != first
    world.change("Model", url="https://h/1")
    await world.play()
    assert world.status("Image")["imageLocation"] == first
    assert world.said("Image")[0] == world.said("Model")[0] == "m:3"
    assert world.status("Service")["imageId"] == "m:3"
    assert world.builds == 2


async def test_registering_again_builds_again(serving: World) -> None:
    serving.apply(model() | {"metadata": {"name": "m", "annotations": {REGISTRATION: "again"}}})
    await serving.play()
    assert serving.said("Image") == ("m:2", "Succeeded", "Built")
    assert serving.builds == 2


@pytest.mark.parametrize(
    ("runtime", "code"),
    [
        ({"runtimeType": "SparkPython", "properties": {}}, "RuntimeNotSupported"),
        ({"runtimeType": "Python", "properties": {"pythonVersion": "3.8"}}, "PythonVersionNotOffered"),
        ({"runtimeType": "Python", "properties": {"builder": "Docker"}}, "BuilderNotOffered"),
    ],
)
async def test_what_cannot_be_built(world: World, runtime: dict[str, Any], code: str) -> None:
    world.apply(model(), manifest(targetRuntime=runtime), image())
    await world.play()
    assert world.said("Image") == ("m:1", "Failed", code)
    assert jobs(world) == []
    mended = {"pythonVersion": "3.12", "builder": None}
    world.change("Manifest", targetRuntime={"runtimeType": "Python", "properties": mended})
    await world.play()
    assert world.said("Image") == ("m:2", "Succeeded", "Built")


@pytest.mark.parametrize(
    ("default", "asked", "builder"),
    [
        ("Layers", {}, "Layers"),
        ("Layers", {"builder": "Docker"}, "Docker"),
        ("Docker", {}, "Docker"),
        ("Docker", {"builder": "Layers"}, "Layers"),
    ],
)
async def test_who_builds(default: str, asked: dict[str, str], builder: str) -> None:
    world = World(OperatorSettings.model_validate({"build": {"builder": default, "dockerEnabled": True}}))
    await world.start()
    world.apply(model(), manifest(targetRuntime={"runtimeType": "Python", "properties": asked}), image())
    await world.settle()
    (job,) = world.cluster.all(JOBS)
    volumes = job["spec"]["template"]["spec"]["volumes"]
    assert world.request(job["metadata"]["name"]).builder == builder
    assert any("hostPath" in volume for volume in volumes) == (builder == "Docker")
    await world.stop()


def _claims(world: World) -> list[str]:
    """Those that the only build mounts."""
    (job,) = world.cluster.all(JOBS)
    volumes = job["spec"]["template"]["spec"]["volumes"]
    mounted = (volume.get("persistentVolumeClaim") for volume in volumes)
    return [claim["claimName"] for claim in mounted if claim]


@pytest.fixture
async def with_claims() -> AsyncIterator[World]:
    claims = {"shared": ["*"], "own": ["other", "default"], "private": ["other"]}
    world = World(OperatorSettings.model_validate({"sources": {"claims": claims}}))
    await world.start()
    yield world
    await world.stop()


@pytest.mark.parametrize("claim", ["shared", "own"])
async def test_a_build_mounts_the_claim_that_it_reads(with_claims: World, claim: str) -> None:
    with_claims.apply(model(url=f"pvc://{claim}/deep/m.pkl"), manifest(), image())
    await with_claims.settle()
    assert _claims(with_claims) == [claim]


@pytest.mark.parametrize("where", ["assets", "pipRequirements", "condaEnvFile", "nowhere"])
async def test_whatever_is_on_a_claim_is_mounted(with_claims: World, where: str) -> None:
    url = "pvc://shared/file"
    assets = [{"id": "driver", "content": "x"}] + ([{"id": "data", "url": url}] if where == "assets" else [])
    properties = {where: url} if where in {"pipRequirements", "condaEnvFile"} else {}
    runtime = {"runtimeType": "Python", "properties": properties}
    with_claims.apply(model(), manifest(assets=assets, targetRuntime=runtime), image())
    await with_claims.settle()
    assert _claims(with_claims) == ([] if where == "nowhere" else ["shared"])


@pytest.mark.parametrize("claim", ["private", "unknown", "", "Shared", "..", "u@shared", "shared:1"])
async def test_a_claim_that_is_not_for_the_namespace(with_claims: World, claim: str) -> None:
    with_claims.apply(model(url=f"pvc://{claim}/m.pkl"), manifest(), image())
    await with_claims.play()
    assert with_claims.said("Image") == ("m:1", "Failed", "ClaimNotOffered")
    assert jobs(with_claims) == []
    message = with_claims.status("Image")["error"]["message"]
    assert f"the claim {claim!r} is not offered to namespace default, which has own, shared" in message
    assert "/m.pkl" in message
    assert "build.sources.claims" in message
    with_claims.change("Model", url="pvc://shared/m.pkl")
    await with_claims.play()
    assert with_claims.said("Image") == ("m:2", "Succeeded", "Built")


async def test_a_conda_environment_brings_any_python(world: World) -> None:
    properties = {"pythonVersion": "3.14", "condaEnvFile": "dependencies: [numpy]"}
    world.apply(model(), manifest(targetRuntime={"runtimeType": "Python", "properties": properties}), image())
    await world.settle()
    request = world.request(jobs(world)[0])
    assert (request.base_image, request.python_version) == ("python:3.11-slim", "3.14")
    assert request.conda_env_file == "dependencies: [numpy]"


@pytest.mark.parametrize(
    ("properties", "image_used"),
    [({}, "spark-3.12"), ({"pythonVersion": "3.13"}, "spark-3.13"), ({"condaEnvFile": "a"}, "spark-3.12")],
)
async def test_spark_stands_on_images_of_its_own(properties: dict[str, str], image_used: str) -> None:
    world = World(
        OperatorSettings(build=BuildSettings(spark_images={"3.12": "spark-3.12", "3.13": "spark-3.13"}))
    )
    await world.start()
    runtime = {"runtimeType": "SparkPython", "properties": properties}
    world.apply(model(), manifest(targetRuntime=runtime), image())
    await world.settle()
    request = world.request(jobs(world)[0])
    assert (request.spark, request.base_image) == (True, image_used)
    await world.stop()


async def test_the_python_version_when_none_is_given() -> None:
    offered = {"3.11": "old", "3.13": "new"}
    world = World(OperatorSettings(build=BuildSettings(base_images=offered, default_python_version="3.13")))
    await world.start()
    world.apply(
        model(),
        manifest(targetRuntime={"runtimeType": "Python", "properties": {"pythonVersion": None}}),
        image(),
    )
    world.cluster.at(CUSTOM_RESOURCES["Manifest"], "m")["spec"]["targetRuntime"]["properties"] = {}
    await world.settle()
    assert world.request(jobs(world)[0]).base_image == "new"
    await world.stop()


async def test_a_missing_secret_is_waited_for(world: World) -> None:
    world.apply(model(secretRef={"name": "store"}), *everything()[1:])
    await world.play(seconds=60)
    assert world.said("Image") == ("m:1", "NotStarted", "SecretNotFound")
    assert "store" in world.condition("Image", "Ready")["message"]
    world.cluster.put(SECRETS, "default", {"metadata": {"name": "store"}, "data": {"token": "czNjcjN0"}})
    await world.play(seconds=20)
    assert world.said("Image")[1] == "Succeeded"
    assert world.request(jobs(world)[0]).models[0].source.credentials == {"token": "s3cr3t"}


@pytest.mark.parametrize("outcome", [succeed, failing("SourceForbidden")], ids=["built", "failed"])
async def test_credentials_go_to_the_build_and_nowhere_else(
    world: World, outcome: Callable[[BuildRequest], BuildResult]
) -> None:
    """Nothing that was ever written has them but Secrets: no status, event, record, log or Job."""
    asked: list[BuildRequest] = []
    world.outcome = lambda request: (asked.append(request), outcome(request))[1]
    secret = base64.b64encode(b"s3cr3t").decode()
    world.cluster.put(SECRETS, "default", {"metadata": {"name": "store"}, "data": {"token": secret}})
    world.apply(model(secretRef={"name": "store"}), *everything()[1:])
    await world.play()
    assert asked[0].models[0].source.credentials == {"token": "s3cr3t"}
    told = [event.body for event in world.cluster.history if event.resource != SECRETS]
    assert {"Image", "Job", "ConfigMap", "ControllerRevision"} <= {body.get("kind") for body in told}
    assert not [text for text in ("s3cr3t", secret) if text in json.dumps(told)]


async def test_a_secret_that_goes_during_the_build_does_not_matter(world: World) -> None:
    world.cluster.put(SECRETS, "default", {"metadata": {"name": "store"}, "data": {}})
    world.apply(model(secretRef={"name": "store"}), *everything()[1:])
    await world.settle()
    world.cluster.remove(SECRETS, "default", "store")
    await world.play(seconds=200, alone=True)
    assert world.said("Image") == ("m:1", "Running", "Building")


async def test_models_keep_their_order_and_pinned_ones_their_version(world: World) -> None:
    world.apply(model("a"), model("b"))
    await world.play()
    world.change("Model", on="a", url="https://h/2")
    await world.play()
    world.apply(manifest(modelIds=["b", "a:1"]), image())
    await world.settle()
    request = world.request(jobs(world)[0])
    assert [(m.name, m.version, m.source.url) for m in request.models] == [
        ("b", 1, "https://h/1"),
        ("a", 1, "https://h/1"),
    ]
    await world.play()
    builds = world.builds
    world.change("Model", on="a", url="https://h/3")
    await world.play()
    assert world.builds == builds
    assert world.status("Manifest")["modelIds"] == ["b:1", "a:1"]


async def test_a_pinned_manifest_stays(world: World) -> None:
    world.apply(model(), manifest(), image(manifestId="m:1"))
    await world.play()
    world.change("Model", url="https://h/2")
    await world.play()
    assert world.said("Manifest")[0] == "m:2"
    assert world.status("Image")["manifestId"] == "m:1"
    assert world.builds == 1


async def test_a_pinned_version_that_does_not_exist_yet(world: World) -> None:
    world.apply(model(), manifest(), image(manifestId="m:2"))
    await world.play()
    assert world.said("Image") == ("", "NotStarted", "ManifestNotFound")
    assert "newest version is 1" in world.condition("Image", "Ready")["message"]
    world.change("Model", url="https://h/2")
    await world.play()
    assert world.said("Image") == ("m:1", "Succeeded", "Built")


async def test_a_model_that_went_before_the_build_and_comes_back(world: World) -> None:
    world.apply(model(), manifest())
    await world.play()
    world.cluster.remove(CUSTOM_RESOURCES["Model"], "default", "m")
    world.apply(image())
    await world.play(seconds=5)
    assert world.said("Image") == ("m:1", "NotStarted", "ModelNotFound")
    world.apply(model())
    await world.play(seconds=20)
    assert world.said("Image") == ("m:1", "Succeeded", "Built")


async def test_a_log_never_overwrites_what_is_not_ours(world: World) -> None:
    notes = {"metadata": {"name": "image-m-1-log"}, "data": {"log": "mine"}}
    await world.cluster.create(CONFIG_MAPS, "default", notes)
    world.apply(*everything())
    await world.play()
    assert world.said("Image") == ("m:1", "Succeeded", "Built")
    assert world.cluster.at(CONFIG_MAPS, "image-m-1-log")["data"] == {"log": "mine"}
    assert "imageBuildLogUri" not in world.status("Image")
