"""Rollouts: no request is lost."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from tests.support.cluster import Kubectl
from tests.support.load import Load
from tests.support.status import history, versions, wait_for_status

Make = Callable[..., str]


@pytest.mark.parametrize("replicas", [1, 2])
def test_no_request_fails_during_a_roll(shared: Kubectl, make_service: Make, replicas: int) -> None:
    name = make_service("one", numReplicas=replicas)
    budget = shared.get_or_none("poddisruptionbudget", name)
    assert (budget is not None) == (replicas > 1)
    with (
        history(shared, "deployment", name, "{.status.availableReplicas}") as available,
        Load(shared, name, "{}", connections=4, per_second=100) as load,
    ):
        shared.patch("msvc", name, {"spec": {"imageId": "two"}})
        wait_for_status(shared, "msvc", name, 120, state="Succeeded", version=2)
        load.wait(8)  # the old pods stop during these seconds
        ok, failed, errors = load.total()
        answers = load.seconds()[-1]["answers"]
    assert (failed, errors) == (0, {})
    assert ok > 300
    assert min(int(count or 0) for count in available) >= replicas
    assert answers == {'"two"': pytest.approx(100, abs=60)}


def test_no_request_fails_when_a_replica_is_deleted(shared: Kubectl, make_service: Make) -> None:
    name = make_service("one", numReplicas=2)
    with Load(shared, name, "{}", connections=4, per_second=100) as load:
        pod = shared.list("pods", f"modelyard.dev/service={name}")[0]["metadata"]["name"]
        shared("delete", "pod", pod, "--wait=true")
        wait_for_status(shared, "msvc", name, 60, state="Succeeded", readyReplicas=2)
        load.wait(2)
        ok, failed, errors = load.total()
    assert (failed, errors) == (0, {})
    assert ok > 300
    assert versions(shared, "service", name) == [1]
