"""Times in statuses and revisions, against a clock that the test moves."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from typing import Any, Final

import pytest
from tests.unit.fake_api_server import Event, FakeApiServer
from tests.unit.operator_harness import OperatorHarness, image, manifest, model, service, succeed
from tests.unit.reconcile.test_image import failing
from tests.unit.reconcile.test_repeated_rollouts import LATE
from tests.unit.reconcile.test_service import QUOTA

from modelyard.api.resources import CUSTOM_RESOURCES
from modelyard.kube.types import DEPLOYMENTS, REVISIONS, ApiResource, Json
from modelyard.reconcile.timestamps import format_timestamp

SCALER: Final = {"autoscaleEnabled": True, "minReplicas": 0, "maxReplicas": 3}
MINUTE: Final = 60


class Timed:
    """An operator, and the time of each event in its cluster."""

    def __init__(self, harness: OperatorHarness, monkeypatch: pytest.MonkeyPatch) -> None:
        self.harness = harness
        self.times: dict[int, str] = {}  # by version of the cluster
        commit = FakeApiServer._commit

        def timed(cluster: FakeApiServer, *arguments: Any) -> None:
            commit(cluster, *arguments)
            self.times[cluster.version] = format_timestamp(harness.clock())

        monkeypatch.setattr(FakeApiServer, "_commit", timed)

    async def pass_time(self, **change: Any) -> None:
        """Change the Service, move the clock by a minute, and let the cluster work for another."""
        if change:
            self.harness.change("Service", **change)
        self.harness.clock.move(MINUTE)
        await self.harness.play(seconds=MINUTE)

    async def deployment_status(self, *conditions: Json) -> None:
        """Give the Deployment conditions, a minute later."""
        self.harness.clock.move(MINUTE)
        status = {"status": {"conditions": list(conditions)}}
        self.harness.cluster.change(DEPLOYMENTS, "default", "m", status, "status")
        await self.harness.settle()

    def events(self, resources: set[ApiResource]) -> Iterator[tuple[Event, str]]:
        """Yield the events of some resources, each with its time."""
        for event in self.harness.cluster.history:
            if event.resource in resources and event.version in self.times:
                yield event, self.times[event.version]


@pytest.fixture
async def life(harness: OperatorHarness, monkeypatch: pytest.MonkeyPatch) -> Timed:
    """A chain with failed and repaired builds and rollouts, and minutes between its changes."""
    timed = Timed(harness, monkeypatch)
    harness.outcome = failing("PackageNotFound", transient=False)
    harness.apply(service(autoScaler=SCALER))
    await timed.pass_time()
    for body in (image(), manifest(), model()):
        harness.apply(body)
        await timed.pass_time()
    harness.outcome = succeed
    harness.change("Model", url="https://h/2")
    await timed.pass_time()
    await timed.pass_time(autoScaler=None, numReplicas=3)
    await timed.deployment_status(QUOTA)
    await timed.deployment_status()
    harness.serves = False
    await timed.pass_time(maxConcurrentRequestsPerContainer=2)
    await timed.deployment_status(LATE)
    harness.serves = True
    await timed.pass_time(maxConcurrentRequestsPerContainer=3)
    harness.change("Model", description="text")
    await timed.pass_time()
    return timed


async def test_transition_of_each_condition_is_the_time_of_its_change(life: Timed) -> None:
    statuses: dict[tuple[str, str], list[str]] = defaultdict(list)
    before: dict[tuple[str, str], Json] = {}
    for event, time in life.events(set(CUSTOM_RESOURCES.values())):
        kind = event.body["kind"]
        conditions = {one["type"]: one for one in event.body["status"].get("conditions", ())}
        for type_, condition in conditions.items():
            last = before.get((kind, type_))
            if last is None or last["status"] != condition["status"]:
                assert condition["lastTransitionTime"] == time, (kind, type_)
                statuses[kind, type_].append(condition["status"])
            else:
                assert condition["lastTransitionTime"] == last["lastTransitionTime"], (kind, type_)
        before = {key: last for key, last in before.items() if key[0] != kind}
        before |= {(kind, type_): condition for type_, condition in conditions.items()}
    changed = {key for key, values in statuses.items() if len(values) > 1}
    every = {(kind, type_) for kind in CUSTOM_RESOURCES for type_ in ("Ready", "Reconciling")}
    assert changed >= every | {("Image", "Stalled"), ("Service", "Stalled"), ("Service", "Available")}
    assert {("Service", "ReplicaFailure"), ("Service", "ScaledToZero")} <= statuses.keys()


async def test_end_of_each_version_is_the_time_of_its_state(life: Timed) -> None:
    """The revision of a Service gets the time when the next version supersedes it."""
    ends = {"Model": 2, "Manifest": 2, "Image": 2}
    found: dict[str, int] = defaultdict(int)
    for event, time in life.events({REVISIONS}):
        kind = event.body["metadata"]["ownerReferences"][0]["kind"]
        annotations = event.body["metadata"].get("annotations", {})
        if kind in ends and "modelyard.dev/ended" in annotations and not _is_about(event):
            assert annotations["modelyard.dev/ended"] == time, event.body["metadata"]["name"]
            found[kind] += 1
    assert dict(found) == ends


def _is_about(event: Event) -> bool:
    """Return True if an event shows a new description, which has no effect on the end."""
    return "description" in event.body["metadata"]["annotations"].get("modelyard.dev/about", "")


async def test_end_of_each_rollout_is_the_time_of_its_last_replica(life: Timed) -> None:
    ended: dict[int, str] = {}  # by version
    for event, time in life.events({CUSTOM_RESOURCES["Service"]}):
        status = event.body["status"]
        if status.get("state") in {"Succeeded", "Failed"}:
            ended.setdefault(status["version"], time)
            assert status["endTime"] == ended[status["version"]]
    assert len(ended) == 4
    history = [life.harness.revision_annotations("Service", version) for version in sorted(ended)[:-1]]
    assert [one["ended"] for one in history] == list(ended.values())[:-1]
