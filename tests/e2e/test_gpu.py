"""Replicas with an extended resource, such as a GPU, run only on nodes that have one free."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Final

import pytest
from tests.support.cluster import Kubectl, eventually
from tests.support.objects import service
from tests.support.status import condition, status

RESOURCE: Final = "modelyard.test/gpu"
PATH: Final = f"/status/capacity/{RESOURCE.replace('/', '~1')}"
LIMITED: Final = {"resources": {"limits": {RESOURCE: 1}}}


@pytest.fixture
def device(shared: Kubectl) -> Iterator[None]:
    """One device of one node, as a device plugin advertises it.

    https://kubernetes.io/docs/tasks/administer-cluster/extended-resource-node/
    """
    node = shared.list("nodes")[0]["metadata"]["name"]

    def patch(**operation: str) -> None:
        change = json.dumps([{"path": PATH, **operation}])
        shared("patch", "node", node, "--subresource", "status", "--type", "json", "--patch", change)

    try:
        patch(op="add", value="1")
        eventually(
            lambda: RESOURCE in shared.get("node", node)["status"]["allocatable"], 60, "an allocatable device"
        )
        yield
    finally:
        patch(op="remove")


def test_second_replica_with_the_only_device_is_unschedulable(
    shared: Kubectl, make_service: Callable[..., str], device: None
) -> None:
    name = make_service("one", pod=LIMITED)
    (pod,) = shared.ready_pods(f"modelyard.dev/service={name}")
    assert pod["spec"]["containers"][0]["resources"]["limits"][RESOURCE] == "1"
    shared.apply(service("waiting", "one", pod=LIMITED))

    def message() -> str:
        found = status(shared, "msvc", "waiting")
        ready = condition(found, "Ready") if found.get("conditions") else {}
        return str(ready["message"]) if ready.get("reason") == "Unschedulable" else ""

    assert f"Insufficient {RESOURCE}" in eventually(message, 60, "the reason Unschedulable")
    shared("delete", "msvc", "waiting", "--wait=false")
