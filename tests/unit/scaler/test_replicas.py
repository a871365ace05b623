"""The replicas that are asked for their load."""

from __future__ import annotations

import pytest
from tests.unit.scaler.objects import pod, service

from modelyard.api.resources import CUSTOM_RESOURCES
from modelyard.kube.types import PODS, Json
from modelyard.scaler.replicas import Replica, Replicas

SERVICES = CUSTOM_RESOURCES["Service"]


class Watched:
    """Replicas, and the changes that their listener got."""

    def __init__(self) -> None:
        self.changes: list[str] = []
        self.replicas = Replicas(lambda spec: spec.scales_on_requests, self._note)

    def _note(self, replica: Replica, is_asked: bool) -> None:
        self.changes.append(f"{'+' if is_asked else '-'}{replica.key.name}")

    def pod(self, body: Json, *, deleted: bool = False) -> None:
        self.replicas.on_pod(PODS, body, deleted)

    def service(self, body: Json, *, deleted: bool = False) -> None:
        self.replicas.on_service(SERVICES, body, deleted)


@pytest.fixture
def watched() -> Watched:
    return Watched()


@pytest.mark.parametrize("pod_first", [True, False])
def test_ready_pod_of_an_autoscaled_service_is_asked(watched: Watched, pod_first: bool) -> None:
    steps = [lambda: watched.pod(pod()), lambda: watched.service(service(refreshPeriodInSeconds=5))]
    for step in steps if pod_first else reversed(steps):
        step()
    assert watched.changes == ["+m-1"]
    (replica,) = watched.replicas.asked()
    assert (replica.address, replica.period_seconds) == ("10.0.0.1", 5.0)


@pytest.mark.parametrize(
    "body",
    [
        pod(ready=False),
        pod(ip=""),
        pod(deletionTimestamp="2026-01-01T00:00:00Z"),
        pod(labels={"app": "m"}),
        {"metadata": {"namespace": "default", "name": "m-1", "uid": "u", "labels": {}}},
    ],
)
def test_pod_that_cannot_answer_is_not_asked(watched: Watched, body: Json) -> None:
    watched.service(service())
    watched.pod(body)
    assert watched.changes == []
    watched.pod(pod())
    watched.pod(body)
    assert watched.changes == ["+m-1", "-m-1"]
    assert list(watched.replicas.of_namespace("default")) == []


@pytest.mark.parametrize("scaler", [{"utilizationMetric": "CPU"}, {"autoscaleEnabled": False}])
def test_service_with_another_way_of_scaling_is_not_asked(watched: Watched, scaler: Json) -> None:
    watched.pod(pod())
    watched.service(service(**scaler))
    assert watched.changes == []
    watched.service(service())
    watched.service(service(**scaler))
    assert watched.changes == ["+m-1", "-m-1"]


def test_changed_period_counts_for_replicas_that_are_asked(watched: Watched) -> None:
    watched.pod(pod())
    watched.service(service())
    watched.service(service(refreshPeriodInSeconds=60))
    (replica,) = watched.replicas.asked()
    assert (replica.period_seconds, watched.changes) == (60.0, ["+m-1"])


def test_pod_keeps_its_figures_while_it_is_the_same(watched: Watched) -> None:
    watched.service(service())
    watched.pod(pod())
    (before,) = watched.replicas.asked()
    watched.pod(pod() | {"spec": {}})
    assert list(watched.replicas.asked()) == [before]
    watched.pod(pod(ip="10.0.0.2"))
    assert watched.changes == ["+m-1", "-m-1", "+m-1"]


def test_deleted_pods_and_services_are_forgotten(watched: Watched) -> None:
    watched.service(service())
    watched.pod(pod())
    watched.pod(pod("m-2"))
    watched.pod(pod(), deleted=True)
    watched.pod(pod(), deleted=True)
    watched.service(service(), deleted=True)
    assert watched.changes == ["+m-1", "+m-2", "-m-1", "-m-2"]
    assert watched.replicas.services == {}


def test_service_of_a_newer_release_is_not_asked(watched: Watched) -> None:
    watched.pod(pod())
    watched.service(service(utilizationMetric="Tokens"))
    assert watched.changes == []
