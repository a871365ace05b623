"""Objects that are deleted and created again under the same name."""

from __future__ import annotations

import pytest
from tests.unit.fake_api_server import Call
from tests.unit.operator_harness import (
    OperatorHarness,
    image,
    manifest,
    sample_objects,
)

from modelyard.api.resources import CUSTOM_RESOURCES
from modelyard.kube.errors import Unavailable
from modelyard.kube.types import JOBS


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
