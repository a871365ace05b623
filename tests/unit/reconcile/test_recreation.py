"""Objects that are deleted and created again under the same name."""

from __future__ import annotations

import pytest
from tests.unit.fake_api_server import Call
from tests.unit.operator_harness import (
    OperatorHarness,
    image,
    manifest,
    model,
    sample_objects,
)

from modelyard.api import labels
from modelyard.api.resources import CUSTOM_RESOURCES
from modelyard.contract.build_request import BuildRequest
from modelyard.kube.errors import Unavailable
from modelyard.kube.types import DEPLOYMENTS, JOBS, REVISIONS


def remove(harness: OperatorHarness, kind: str) -> None:
    harness.cluster.remove(CUSTOM_RESOURCES[kind], "default", "m")


def recreate_image_of_other_manifest(harness: OperatorHarness) -> None:
    remove(harness, "Image")
    driver = {"id": "driver", "content": "def run(body): return 'other'"}
    harness.apply(manifest("other", assets=[driver]), image(manifestId="other"))


def job_names(harness: OperatorHarness) -> list[str]:
    return [job["metadata"]["name"] for job in harness.cluster.all(JOBS)]


def fail_first_deletion_of_a_job(harness: OperatorHarness) -> None:
    failed: list[Call] = []

    def fail(_: int, call: Call) -> None:
        if call[:2] == ("delete", JOBS.plural) and not failed:
            failed.append(call)
            raise Unavailable("try again")

    harness.cluster.fault = fail


@pytest.mark.parametrize("is_away", [False, True], ids=["deletion of the Job fails", "operator is away"])
async def test_new_image_ignores_the_ended_job_of_a_deleted_one(
    serving: OperatorHarness, is_away: bool
) -> None:
    old_jobs, old_location = job_names(serving), serving.status("Image")["imageLocation"]
    if is_away:
        await serving.stop()
    else:
        fail_first_deletion_of_a_job(serving)
    recreate_image_of_other_manifest(serving)
    if is_away:
        await serving.start()
    await serving.play()
    assert serving.builds == 2
    assert serving.status("Image")["manifestId"] == "other:1"
    assert serving.status("Image")["imageLocation"] != old_location
    assert old_jobs
    assert not set(old_jobs) & set(job_names(serving))


async def test_running_job_of_a_deleted_image_is_cancelled_while_the_new_one_waits(
    harness: OperatorHarness,
) -> None:
    harness.apply(*sample_objects())
    await harness.play(alone=True)
    assert len(job_names(harness)) == 1
    await harness.stop()
    remove(harness, "Image")
    harness.apply(image(manifestId="missing"))
    await harness.start()
    await harness.play(alone=True)
    assert harness.summary("Image")[1:] == ("NotStarted", "ManifestNotFound")
    assert job_names(harness) == []


def served_image(harness: OperatorHarness) -> str:
    containers = harness.cluster.at(DEPLOYMENTS, "m")["spec"]["template"]["spec"]["containers"]
    return str(containers[0]["image"])


def newest_request(harness: OperatorHarness) -> BuildRequest:
    newest = max(harness.cluster.all(JOBS), key=lambda job: int(job["metadata"]["resourceVersion"]))
    return harness.request(newest["metadata"]["name"])


def ids(harness: OperatorHarness) -> list[str]:
    return [harness.status(kind)["id"] for kind in ("Model", "Manifest", "Image", "Service")]


def is_everything_ready(harness: OperatorHarness) -> bool:
    kinds = ("Model", "Manifest", "Image", "Service")
    return all(harness.condition(kind, "Ready")["status"] == "True" for kind in kinds)


async def test_recreated_model_with_other_content_is_served(serving: OperatorHarness) -> None:
    before = served_image(serving)
    remove(serving, "Model")
    await serving.play()
    serving.apply(model(url="https://h/other"))
    await serving.play()
    assert ids(serving) == ["m:1", "m:2", "m:2", "m:2"]
    assert newest_request(serving).models[0].source.url == "https://h/other"
    assert served_image(serving) == serving.status("Image")["imageLocation"] != before
    assert is_everything_ready(serving)


async def test_recreated_manifest_with_another_driver_is_served(serving: OperatorHarness) -> None:
    before = served_image(serving)
    remove(serving, "Manifest")
    serving.apply(manifest(assets=[{"id": "driver", "content": "def run(body): return 'other'"}]))
    await serving.play()
    assert ids(serving) == ["m:1", "m:1", "m:2", "m:2"]
    assert served_image(serving) == serving.status("Image")["imageLocation"] != before


async def test_status_of_a_service_has_no_models_of_a_recreated_manifest(serving: OperatorHarness) -> None:
    """The pods still run an image of the deleted Manifest m:1."""
    remove(serving, "Manifest")
    serving.apply(model("other"), manifest(modelIds=["other"]))
    await serving.play(alone=True)
    status = serving.status("Service")
    assert (status["imageId"], status["manifestId"]) == ("m:1", "m:1")
    assert "modelIds" not in status


async def test_recreated_image_of_another_manifest_makes_a_version_of_the_service(
    serving: OperatorHarness,
) -> None:
    before = served_image(serving)
    recreate_image_of_other_manifest(serving)
    await serving.play()
    assert ids(serving) == ["m:1", "m:1", "m:1", "m:2"]
    assert served_image(serving) == serving.status("Image")["imageLocation"] != before


async def test_models_and_manifest_recreated_while_the_operator_is_away_are_served(
    serving: OperatorHarness,
) -> None:
    """The Manifest's own content is equal; only its Model differs."""
    before = served_image(serving)
    await serving.stop()
    remove(serving, "Model")
    remove(serving, "Manifest")
    serving.apply(model(url="https://h/other"), manifest())
    await serving.start()
    await serving.play()
    assert ids(serving) == ["m:1", "m:1", "m:2", "m:2"]
    assert newest_request(serving).models[0].source.url == "https://h/other"
    assert served_image(serving) == serving.status("Image")["imageLocation"] != before


@pytest.mark.parametrize("kinds", [["Model"], ["Manifest"], ["Image"], ["Model", "Manifest", "Image"]])
async def test_recreated_objects_of_equal_content_change_nothing(
    serving: OperatorHarness, kinds: list[str]
) -> None:
    before = served_image(serving)
    for kind in kinds:
        remove(serving, kind)
    await serving.play()
    serving.apply(*(body for body in sample_objects() if body["kind"] in kinds))
    await serving.play()
    assert ids(serving) == ["m:1"] * 4
    assert serving.builds == 1
    assert served_image(serving) == before
    assert is_everything_ready(serving)


async def test_pinned_version_of_other_content_is_served(serving: OperatorHarness) -> None:
    serving.change("Model", url="https://h/2")
    serving.change("Manifest", modelIds=["m:2"])
    await serving.play()
    before = served_image(serving)
    remove(serving, "Model")
    serving.apply(model(url="https://h/other-1"))
    await serving.play()
    assert serving.summary("Manifest")[1:] == ("NotStarted", "ModelNotFound")
    serving.change("Model", url="https://h/other-2")
    await serving.play()
    assert serving.status("Manifest")["modelIds"] == ["m:2"]
    assert newest_request(serving).models[0].source.url == "https://h/other-2"
    assert served_image(serving) == serving.status("Image")["imageLocation"] != before
    assert is_everything_ready(serving)


async def test_image_is_never_built_of_a_manifest_version_whose_model_was_replaced(
    harness: OperatorHarness,
) -> None:
    harness.apply(model(), manifest())
    await harness.play()
    remove(harness, "Model")
    harness.apply(model(url="https://h/other"))
    await harness.play()
    assert harness.status("Manifest")["id"] == "m:2"
    harness.apply(image(manifestId="m:1"))
    await harness.play()
    assert harness.summary("Image") == ("m:1", "NotStarted", "ModelReplaced")
    assert harness.builds == 0
    assert "Model m:1" in harness.condition("Image", "Ready")["message"]


async def test_recreated_object_is_not_ready_before_its_dependents_follow(serving: OperatorHarness) -> None:
    """GitOps tools wait for the Model only, for example with `dependsOn`."""
    remove(serving, "Model")
    serving.apply(model(url="https://h/other"))
    seen: list[tuple[str, str]] = []

    def look(_: int, call: Call) -> None:
        status = serving.status("Model")
        if status.get("observedGeneration") == 1 and serving.condition("Model", "Ready")["status"] == "True":
            seen.append((serving.status("Manifest")["id"], serving.condition("Manifest", "Ready")["status"]))

    serving.cluster.fault = look
    await serving.play()
    assert seen
    assert ("m:1", "True") not in seen


@pytest.fixture
async def upgraded(serving: OperatorHarness) -> OperatorHarness:
    """An operator over objects of a release that recorded no hashes of references."""
    await serving.stop()
    for body in serving.cluster.all(REVISIONS):
        patch = {"metadata": {"annotations": {labels.REFERENCED: None}}}
        serving.cluster.change(REVISIONS, "default", body["metadata"]["name"], patch)
    await serving.start()
    await serving.play()
    return serving


async def test_upgrade_records_hashes_and_creates_no_version(upgraded: OperatorHarness) -> None:
    assert ids(upgraded) == ["m:1"] * 4
    assert upgraded.builds == 1
    for kind in ("Manifest", "Image", "Service"):
        assert upgraded.revision_annotations(kind, 1)["referenced-content"]
    before = len(upgraded.cluster.writes)
    await upgraded.stop()
    await upgraded.start()
    await upgraded.play()
    assert upgraded.cluster.writes[before:] == []


async def test_recreation_after_an_upgrade_is_served(upgraded: OperatorHarness) -> None:
    before = served_image(upgraded)
    await upgraded.stop()
    remove(upgraded, "Model")
    remove(upgraded, "Manifest")
    upgraded.apply(model(url="https://h/other"), manifest())
    await upgraded.start()
    await upgraded.play()
    assert served_image(upgraded) == upgraded.status("Image")["imageLocation"] != before


async def test_service_is_not_ready_if_its_image_was_made_again_without_a_version_during_a_break(
    serving: OperatorHarness,
) -> None:
    """A list after a break has the new Image, and no deletion of the old one. The record is gone, too."""
    serving.cluster.compact()
    serving.cluster.hang_up()
    remove(serving, "Image")
    serving.apply(image(manifestId="absent"))
    await serving.play()
    assert serving.summary("Service") == ("m:1", "NotStarted", "ImageNotFound")
    assert serving.condition("Service", "Available")["status"] == "True"
