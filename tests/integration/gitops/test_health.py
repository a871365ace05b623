"""Health of each state of each kind in Flux and Argo CD."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Final

import httpx
import pytest
from tests.api_cases.case import Good
from tests.integration.gitops.conftest import Health, Healths
from tests.unit.operator_harness import (
    OperatorHarness,
    image,
    manifest,
    model,
    sample_objects,
    service,
)

from modelyard.api.kinds import KINDS, Kind
from modelyard.api.names import API_VERSION
from modelyard.api.resources import CUSTOM_RESOURCES
from modelyard.contract.build_request import (
    BuildError,
    BuildRequest,
    BuildResult,
    Step,
)
from modelyard.kube.types import DEPLOYMENTS, REVISIONS, Json

GOOD: Final = Health("Current", "Healthy")
UNDER_WAY: Final = Health("InProgress", "Progressing")
BAD: Final = Health("Failed", "Degraded")

Story = Callable[[OperatorHarness], Awaitable[None]]


async def no_more_to_do(harness: OperatorHarness) -> None:
    await harness.settle()


def applied(*bodies: Json, then: Story = no_more_to_do) -> Story:
    """Return a story that applies objects before `then`."""

    async def tell(harness: OperatorHarness) -> None:
        harness.apply(*bodies)
        await then(harness)

    return tell


def served(*, then: Story) -> Story:
    """Return a story in which all objects are applied and served before `then`."""

    async def tell(harness: OperatorHarness) -> None:
        harness.apply(*sample_objects())
        await harness.play()
        await then(harness)

    return tell


def built(*, transient: bool | None = None) -> Story:
    """Return a story in which builds end: with success (None), or with a transient or terminal error."""

    def fail(request: BuildRequest) -> BuildResult:
        return BuildResult(
            error=BuildError(code="X", step=Step.BUILD, message="no", transient=bool(transient))
        )

    async def tell(harness: OperatorHarness) -> None:
        if transient is not None:
            harness.outcome = fail
        await harness.play(seconds=3)

    return tell


async def at_once(harness: OperatorHarness) -> None:
    """Do nothing: the operator has not reconciled the objects yet."""


async def pods_stay_away(harness: OperatorHarness) -> None:
    harness.serves = False
    await harness.play(seconds=3)


async def rollout_is_overdue(harness: OperatorHarness) -> None:
    await pods_stay_away(harness)
    overdue = {
        "type": "Progressing",
        "status": "False",
        "reason": "ProgressDeadlineExceeded",
        "message": "late",
    }
    harness.cluster.change(DEPLOYMENTS, "default", "m", {"status": {"conditions": [overdue]}}, "status")
    await harness.settle()


async def pods_fail_later(harness: OperatorHarness) -> None:
    status = {"availableReplicas": 0, "readyReplicas": 0}
    harness.cluster.change(DEPLOYMENTS, "default", "m", {"status": status}, "status")
    await harness.settle()


async def scaled_to_none(harness: OperatorHarness) -> None:
    harness.change("Service", numReplicas=0)
    await harness.play()


async def next_build_runs(harness: OperatorHarness) -> None:
    harness.change("Model", url="https://h/2")
    await harness.settle()


async def image_goes(harness: OperatorHarness) -> None:
    harness.cluster.remove(CUSTOM_RESOURCES["Image"], "default", "m")
    await harness.settle()


async def edited(harness: OperatorHarness) -> None:
    for kind, change in (
        ("Model", {"url": "https://h/2"}),
        ("Manifest", {"webserviceType": "Realtime"}),
        ("Image", {"name": "other"}),
        ("Service", {"numReplicas": 2}),
    ):
        harness.change(kind, **change)


async def next_build_fails(harness: OperatorHarness) -> None:
    harness.change("Model", url="https://h/2")
    await FAILS(harness)


async def record_is_taken(harness: OperatorHarness) -> None:
    await harness.cluster.create(
        REVISIONS, "default", {"metadata": {"name": "model-m-1"}, "revision": 1, "data": {}}
    )
    await applied(model())(harness)


WITHOUT_IMAGE: Final = sample_objects()[:2]
WITHOUT_SERVICE: Final = sample_objects()[:3]
FAILS: Final = built(transient=False)
PRIVATE: Final = model(url="https://h/1", secretRef={"name": "absent"})

STATES: Final[list[tuple[str, str, Story, Health]]] = [
    ("Model", "just applied", applied(model(), then=at_once), UNDER_WAY),
    ("Model", "registered", applied(model()), GOOD),
    ("Model", "edited", served(then=edited), UNDER_WAY),
    ("Model", "its record's name is taken", record_is_taken, BAD),
    ("Manifest", "just applied", applied(*sample_objects(), then=at_once), UNDER_WAY),
    ("Manifest", "waits for its model", applied(manifest()), UNDER_WAY),
    ("Manifest", "created", applied(*WITHOUT_IMAGE), GOOD),
    ("Manifest", "edited", served(then=edited), UNDER_WAY),
    ("Image", "just applied", applied(*sample_objects(), then=at_once), UNDER_WAY),
    ("Image", "waits for its manifest", applied(image()), UNDER_WAY),
    ("Image", "waits for a secret", applied(PRIVATE, *WITHOUT_SERVICE[1:]), UNDER_WAY),
    ("Image", "being built", applied(*WITHOUT_SERVICE), UNDER_WAY),
    ("Image", "built", applied(*WITHOUT_SERVICE, then=built()), GOOD),
    ("Image", "failed", applied(*WITHOUT_SERVICE, then=FAILS), BAD),
    ("Image", "failed, tried again", applied(*WITHOUT_SERVICE, then=built(transient=True)), UNDER_WAY),
    ("Image", "edited", served(then=edited), UNDER_WAY),
    ("Image", "being built again", served(then=next_build_runs), UNDER_WAY),
    ("Service", "just applied", applied(*sample_objects(), then=at_once), UNDER_WAY),
    ("Service", "waits for an image to be made", applied(service()), UNDER_WAY),
    ("Service", "waits for its image's build", applied(*sample_objects()), UNDER_WAY),
    ("Service", "waits for an image that failed", applied(*sample_objects(), then=FAILS), BAD),
    ("Service", "rolling out", applied(*sample_objects(), then=pods_stay_away), UNDER_WAY),
    ("Service", "rollout overdue", applied(*sample_objects(), then=rollout_is_overdue), BAD),
    ("Service", "serving", served(then=at_once), GOOD),
    ("Service", "scaled to none", served(then=scaled_to_none), GOOD),
    ("Service", "edited", served(then=edited), UNDER_WAY),
    ("Service", "serving an older image while one is built", served(then=next_build_runs), UNDER_WAY),
    ("Service", "serving an older image since a build failed", served(then=next_build_fails), GOOD),
    ("Service", "its pods fail later", served(then=pods_fail_later), UNDER_WAY),
    ("Service", "its image has gone", served(then=image_goes), UNDER_WAY),
]  # fmt: skip


@pytest.mark.parametrize(
    ("kind", "story", "wanted"),
    [pytest.param(kind, story, wanted, id=f"{kind} {state}") for kind, state, story, wanted in STATES],
)
async def test_state_has_the_expected_health(
    kind: str, story: Story, wanted: Health, harness: OperatorHarness, healths: Healths
) -> None:
    await story(harness)
    body = harness.cluster.at(CUSTOM_RESOURCES[kind], "m")
    assert healths([body]) == [wanted], body.get("status")


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
@pytest.mark.usefixtures("crds")
def test_new_object_is_in_progress(kind: Kind, api: httpx.Client, namespace: str, healths: Healths) -> None:
    folder = f"/apis/{API_VERSION}/namespaces/{namespace}/{kind.plural}"
    answer = api.post(folder, json=Good(kind.name, {}).manifest()).raise_for_status()
    assert healths([answer.json()]) == [UNDER_WAY]
