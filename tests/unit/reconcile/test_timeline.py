"""`status.timeline` of Images and Services, and the histogram from a change to the first answer."""

from __future__ import annotations

import itertools
from collections.abc import AsyncIterator
from typing import Final

import pytest
from tests.unit.fake_api_server import Call, FakeApiServer
from tests.unit.operator_harness import OperatorHarness, sample_objects

from modelyard.api import labels
from modelyard.api.resources import CUSTOM_RESOURCES
from modelyard.kube.errors import Unavailable
from modelyard.kube.types import DEPLOYMENTS, PODS, REVISIONS, Json
from modelyard.metrics import FIRST_ANSWER_SECONDS

LOG: Final = f"""\
2026-01-01T00:00:03.123456789Z [Fetch] asset driver: inline content
2026-01-01T00:00:05.000000001Z [Fetch] model m:1: 2 GiB
2026-01-01T00:00:06Z [Build] numpy-2.0
2026-01-01T00:00:08.5Z [Build] packages: 2 MiB
2026-01-01T00:00:09.5Z [Push] layer 1
2026-01-01T00:00:11.9Z [Push] pushed r/p:t, sha256:{"0" * 64}
"""
TIMES: Final = {
    "fetched": "2026-01-01T00:00:05Z", "built": "2026-01-01T00:00:08Z", "pushed": "2026-01-01T00:00:11Z",
}  # fmt: skip
NEVER: Final = 10_000.0  # seconds: beyond each retry of these tests


def put_pod(harness: OperatorHarness, version: int, started: str, ready: str | None) -> None:
    """Put a pod that a version has started; the times are those of the first day of 2026."""
    container = {"name": "scoring", "state": {"running": {"startedAt": f"2026-01-01T{started}Z"}}}
    condition = {"type": "Ready", "status": "True", "lastTransitionTime": f"2026-01-01T{ready}Z"}
    status = {"containerStatuses": [container], "conditions": [condition] if ready else []}
    metadata = {
        "name": f"m-{version}-{started.replace(':', '')}",
        "labels": labels.selector_of("m") | {labels.POD_VERSION: str(version)},
    }
    harness.cluster.put(PODS, "default", {**PODS.header(), "metadata": metadata, "status": status})


def samples(change: str) -> tuple[float, float]:
    """Return the count and the sum of the histogram for one value of its label."""
    (metric,) = FIRST_ANSWER_SECONDS.collect()
    found = {
        sample.name: sample.value
        for sample in metric.samples
        if sample.labels.get("change") == change and "le" not in sample.labels
    }
    name = "modelyard_first_answer_seconds"
    return found.get(f"{name}_count", 0.0), found.get(f"{name}_sum", 0.0)


@pytest.fixture
async def built(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[OperatorHarness]:
    """All four objects at midnight, with builds whose log has timestamps if they are asked for."""

    async def log(self: FakeApiServer, namespace: str, pod: str, **query: str) -> str:
        return LOG if query.get("timestamps") == "true" else ""

    monkeypatch.setattr(FakeApiServer, "log", log)
    harness = OperatorHarness()
    await harness.start()
    harness.apply(*sample_objects())
    yield harness
    await harness.stop()


async def test_timeline_of_an_image_has_the_ends_of_the_build_steps(built: OperatorHarness) -> None:
    await built.play()
    assert built.status("Image")["timeline"] == {"seen": "2026-01-01T00:00:00Z"} | TIMES
    assert built.revision_annotations("Image", 1)["build-times"]


async def test_timeline_of_a_reused_image_has_the_record_only(built: OperatorHarness) -> None:
    await built.play()
    built.clock.move(60)
    built.change("Model", url="https://h/2")
    await built.play()
    built.change("Model", url="https://h/1")
    await built.play()
    assert built.status("Image")["id"] == "m:3"
    assert built.builds == 2
    assert built.status("Image")["timeline"].keys() == {"seen"}


async def test_stored_log_has_no_timestamps(built: OperatorHarness) -> None:
    await built.play()
    (log,) = (
        event.body["data"]["log"] for event in built.cluster.history
        if event.body["metadata"]["name"] == "image-m-1-log" and event.type == "ADDED"
    )  # fmt: skip
    assert log.startswith("[Fetch] asset driver: inline content\n[Fetch] model")


@pytest.mark.parametrize("text", ["", "[]", '{"fetched": "yesterday"}', '{"fetched": 3}'])
async def test_forged_times_of_a_build_count_as_absent(built: OperatorHarness, text: str) -> None:
    await built.play()
    forged = {"metadata": {"annotations": {labels.BUILD_TIMES: text}}}
    built.cluster.change(REVISIONS, "default", "image-m-1", forged)
    built.change("Image", description="written again")
    await built.play()
    assert built.status("Image")["timeline"] == {"seen": "2026-01-01T00:00:00Z"}


async def test_timeline_of_a_service_begins_with_the_change_and_ends_with_the_rollout(
    built: OperatorHarness,
) -> None:
    await built.play(seconds=NEVER)
    built.clock.move(3600)
    put_pod(built, 1, "00:00:20", "00:00:30")
    put_pod(built, 2, "09:00:20", "09:00:40")
    put_pod(built, 2, "09:00:10", "09:00:50")
    put_pod(built, 2, "09:00:15", None)
    changed = built.clock()
    built.change("Service", maxConcurrentRequestsPerContainer=2)
    await built.play()
    assert built.status("Service")["timeline"] == {
        "seen": changed.strftime("%Y-%m-%dT%H:%M:%SZ"),
        "pulled": "2026-01-01T09:00:10Z",
        "firstAnswer": "2026-01-01T09:00:40Z",
        "ready": built.status("Service")["endTime"],
    }


async def test_service_that_follows_an_image_has_seen_the_change_before_the_build(
    built: OperatorHarness,
) -> None:
    await built.play(seconds=NEVER)
    built.clock.move(3600)
    changed = built.clock().strftime("%Y-%m-%dT%H:%M:%SZ")
    count, total = samples("image")
    built.change("Model", url="https://h/2")
    await built.settle()
    built.clock.move(40)
    await built.play()
    timeline = built.status("Service")["timeline"]
    assert built.status("Service")["id"] == "m:2"
    assert timeline["seen"] == changed < built.status("Service")["createdTime"]
    assert samples("image") == (count + 1, total + 40)


async def test_edited_service_has_seen_its_own_change(built: OperatorHarness) -> None:
    await built.play(seconds=NEVER)
    count, _ = samples("service")
    built.clock.move(3600)
    built.change("Service", numReplicas=2)
    await built.play()
    status = built.status("Service")
    assert status["timeline"]["seen"] == status["createdTime"]
    assert "pulled" not in status["timeline"]  # no new pods
    assert status["timeline"]["firstAnswer"] == status["createdTime"]
    assert samples("service")[0] == count + 1


async def test_timeline_is_written_only_with_other_fields(built: OperatorHarness) -> None:
    await built.play()
    before = len(built.cluster.writes)
    for kind in ("Image", "Service"):
        patch: Json = {"status": {"timeline": None}}
        built.cluster.change(CUSTOM_RESOURCES[kind], "default", "m", patch, "status")
    await built.stop()
    await built.start()
    await built.play()
    assert built.cluster.writes[before:] == []
    statuses: dict[str, list[Json]] = {"Image": [], "Service": []}
    for event in built.cluster.history[:-2]:
        if (kind := event.body.get("kind")) in statuses and event.resource in CUSTOM_RESOURCES.values():
            statuses[kind].append({**event.body["status"], "timeline": None})
    for written in statuses.values():
        assert all(first != second for first, second in itertools.pairwise(written))


async def test_first_answer_of_each_version_is_measured_once(built: OperatorHarness) -> None:
    count, _ = samples("new")
    await built.play()
    await built.stop()
    await built.start()
    built.change("Service", description="text")
    await built.play()
    assert samples("new")[0] == count + 1


async def test_rollout_needs_no_pods_to_be_read(built: OperatorHarness) -> None:
    def fail(_: int, call: Call) -> None:
        if call == Call("list", "pods") and built.cluster.all(DEPLOYMENTS):
            raise Unavailable("away")

    built.cluster.fault = fail
    await built.play(seconds=20)
    assert built.summary("Service") == ("m:1", "Succeeded", "Serving")
    assert built.status("Service")["timeline"].keys() == {"seen", "firstAnswer", "ready"}


async def test_failed_rollout_has_no_first_answer(built: OperatorHarness) -> None:
    built.serves = False
    await built.play(seconds=10)
    assert built.status("Service")["timeline"].keys() == {"seen"}


async def test_labels_of_the_histogram_are_bounded(built: OperatorHarness) -> None:
    """A label for each Service or version would grow without bound: exemplars name them."""
    await built.play()
    (metric,) = FIRST_ANSWER_SECONDS.collect()
    values = {value for sample in metric.samples for name, value in sample.labels.items() if name != "le"}
    assert values <= {"new", "image", "service"}
    exemplars = [sample.exemplar.labels for sample in metric.samples if sample.exemplar]
    assert {"namespace": "default", "service": "m", "version": "1"} in exemplars
