"""Argo CD finds no difference between a manifest and its object: by its own code, in each way of comparison.

A difference that the operator or the API server makes for good would be OutOfSync without end.
"""

from __future__ import annotations

import asyncio
import json
import subprocess
from collections.abc import Callable, Iterable
from typing import Final, NamedTuple

import httpx
import pytest
from tests.api_cases.good import GOOD
from tests.integration.gitops.stories import STORIES
from tests.support.programs import program
from tests.unit.operator_harness import OperatorHarness

from modelyard.api.kinds import KINDS_BY_NAME
from modelyard.api.names import API_VERSION
from modelyard.api.resources import CUSTOM_RESOURCES
from modelyard.kube.types import Json

MANAGER: Final = "argocd-controller"
LAST_APPLIED: Final = "kubectl.kubernetes.io/last-applied-configuration"
MAX_ANNOTATIONS: Final = 256 * 1024
WAYS: Final = ("client", "structured", "server")
# The API server refuses null in a server-side apply.
MANIFESTS: Final = [good for good in GOOD if ": null" not in json.dumps(good.manifest())]


class Applied(NamedTuple):
    """A manifest, and the object that the API server has after a sync."""

    manifest: Json
    live: Json


Sync = Callable[[Json], Json]


@pytest.fixture(params=["client-side apply", "server-side apply"])
def sync(request: pytest.FixtureRequest, api: httpx.Client, crds: None) -> Sync:
    """Return a function that creates an object as a sync of Argo CD does, without or with ServerSideApply."""
    is_server_side = request.param == "server-side apply"

    def create(manifest: Json) -> Json:
        if is_server_side:
            answer = api.patch(
                f"{_folder(manifest)}/{manifest['metadata']['name']}",
                params={"fieldManager": MANAGER, "force": "true"},
                headers={"Content-Type": "application/apply-patch+yaml"},
                content=json.dumps(manifest, ensure_ascii=False),  # YAML has no surrogate pairs
            )
        else:
            answer = api.post(_folder(manifest), json=_with_last_applied(manifest))
        return dict(answer.raise_for_status().json())

    return create


@pytest.fixture(scope="session")
def statuses() -> dict[tuple[str, str], Json]:
    """Return the object of each row of docs/states.md with its status."""

    async def last_state(kind: str, situation: str) -> Json:
        harness = OperatorHarness()
        await harness.start()
        await STORIES[kind, situation](harness)
        body = harness.cluster.at(CUSTOM_RESOURCES[kind], "m")
        await harness.stop()
        return body

    return {row: asyncio.run(last_state(*row)) for row in STORIES}


def differences(applied: Iterable[Applied]) -> list[dict[str, str]]:
    """Return what Argo CD finds for each object, by the way of comparison. An empty text is Synced."""
    question = json.dumps([item._asdict() for item in applied])
    done = subprocess.run([program("argo-diff")], input=question, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    answer: list[dict[str, str]] = json.loads(done.stdout)
    return answer


def named(body: Json, namespace: str, number: int) -> Json:
    """Return the manifest of an object in Git: its kind, a name of its own, and its spec."""
    metadata = {"name": f"m{number}", "namespace": namespace}
    return {"apiVersion": API_VERSION, "kind": body["kind"], "metadata": metadata, "spec": body["spec"]}


def _folder(manifest: Json) -> str:
    plural = KINDS_BY_NAME[manifest["kind"]].plural
    return f"/apis/{API_VERSION}/namespaces/{manifest['metadata']['namespace']}/{plural}"


def _with_last_applied(manifest: Json) -> Json:
    """Return an object with the annotation of a client-side apply, unless it is too large for that."""
    text = json.dumps(manifest)
    if len(text) > MAX_ANNOTATIONS - len(LAST_APPLIED):
        return manifest
    return manifest | {"metadata": manifest["metadata"] | {"annotations": {LAST_APPLIED: text}}}


def test_valid_manifests_are_synced(namespace: str, sync: Sync) -> None:
    manifests = [named(good.manifest(), namespace, number) for number, good in enumerate(MANIFESTS)]
    found = differences(Applied(manifest, sync(manifest)) for manifest in manifests)
    assert {str(good): ways for good, ways in zip(MANIFESTS, found, strict=True) if any(ways.values())} == {}


def test_each_state_is_synced(
    namespace: str, sync: Sync, api: httpx.Client, statuses: dict[tuple[str, str], Json]
) -> None:
    applied = []
    for number, body in enumerate(statuses.values()):
        manifest = named(body, namespace, number)
        path = f"{_folder(manifest)}/{sync(manifest)['metadata']['name']}/status"
        merge = {"Content-Type": "application/merge-patch+json"}
        patch = {
            "status": body["status"],
            "metadata": {"annotations": body["metadata"].get("annotations", {})},
        }
        answer = api.patch(path, headers=merge, content=json.dumps(patch))
        applied.append(Applied(manifest, answer.raise_for_status().json()))
    found = differences(applied)
    assert {row: ways for row, ways in zip(statuses, found, strict=True) if any(ways.values())} == {}


def test_changed_object_is_out_of_sync(namespace: str, sync: Sync) -> None:
    manifest = named({"kind": "Service", "spec": {"imageId": "m", "numReplicas": 1}}, namespace, 1)
    live = sync(manifest)
    live["spec"]["numReplicas"] = 2
    (found,) = differences([Applied(manifest, live)])
    assert [way for way in WAYS if found[way]] == list(WAYS)
