"""Alerts on a real Prometheus while the release is stopped, cut off, or has values that do not fit.

The tests change the release for all, and restore it. While an alert fires, the commands of its runbook show
the cause.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Final

import pytest
from tests.e2e import test_alerts, test_watch
from tests.support.cluster import Kubectl, eventually
from tests.support.faults import needs_own_cluster, packets_dropped
from tests.support.node_requests import ask_from_node
from tests.support.objects import constant_driver, image, manifest, service
from tests.support.operator import SYSTEM, kill_operator, operator_pod
from tests.support.prometheus import RULES, Prometheus, at_once, job_of_monitor, until
from tests.support.release import changed_values, monitors
from tests.support.runbooks import expect_alerts
from tests.support.status import wait_for_status

pytestmark = needs_own_cluster

# Shorter windows, so that minutes become seconds. The API server sends a bookmark on each watch every 60 s.
SHORTER: Final = {
    "ModelyardBuildsWaiting": ("[15m]", "[3s]"),
    "ModelyardWatchSilent": ("> 300", "> 65"),
}
NOWHERE: Final = {"no-such-node": "true"}
UNREACHABLE: Final = "127.0.0.1:1"
FAULTY: Final = {
    # A node selector without nodes: the first build holds the only slot, and no replica starts.
    "build": {
        "concurrent": 1,
        "nodeSelector": NOWHERE,
        "baseImages": {"3.12": f"{UNREACHABLE}/python:3.12"},
    },
    "scoring": {"progressDeadlineSeconds": 10, "nodeSelector": NOWHERE},
    "scaling": {"zero": {"wakeSeconds": 1}},
}
UNBUILT: Final = [f"unbuilt-{number}" for number in range(5)]
SILENT: Final = {"ModelyardWatchSilent": "controllerrevisions.apps"}
STOPPED: Final = {f"Modelyard{part}Down": "0/0" for part in ("Operator", "Gateway", "Scaler", "Activator")}
UNFIT: Final = {
    "ModelyardRollsStopped": "/rolled Stalled",
    "ModelyardBuildsWaiting": "FailedScheduling",
    "ModelyardWakesFailing": "FailedScheduling",
    "ModelyardBuildsFailing": "RegistryUnavailable",
    "ModelyardRegistryUnavailable": UNREACHABLE,
}
"""Alerts, each with a text that the commands of its runbook print."""


def test_each_alert_of_the_chart_has_a_fault() -> None:
    alerts = {rule["alert"] for group in RULES["groups"] for rule in group["rules"]}
    elsewhere = {*test_alerts.CAUSES, *test_watch.WITH_FAULTS, *test_watch.NOT_SCRAPED}
    assert {*SILENT, *STOPPED, *UNFIT, *elsewhere} == alerts


@pytest.fixture(scope="module")
def prometheus(installed: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Prometheus]:
    """Prometheus with the monitors of the chart, and alerts that fire after seconds."""
    jobs = [job_of_monitor(monitor) for monitor in monitors()]
    with Prometheus(tmp_path_factory.mktemp("prometheus"), jobs, at_once(RULES, SHORTER)) as running:
        yield running


@pytest.fixture(scope="module")
def team(shared: Kubectl) -> Iterator[Kubectl]:
    """A Service that gets the pod template of each release."""
    rolled = service("rolled", "one")
    rolled["metadata"]["annotations"] = {"modelyard.dev/roll-on-upgrade": "true"}
    shared.apply(rolled)
    wait_for_status(shared, "msvc", "rolled", 120, state="Succeeded")
    yield shared
    shared("delete", "msvc", "rolled", "--wait=false", "--ignore-not-found")


@contextlib.contextmanager
def operator_cut_off() -> Iterator[None]:
    """The node drops each packet of the operator to the API server. At the end another one starts."""
    address = operator_pod()["status"]["podIP"]
    try:
        with packets_dropped("INPUT", "--source", address, "--protocol", "tcp", "--dport", "6443"):
            yield
    finally:
        kill_operator()


def test_silent_watches_raise_an_alert(prometheus: Prometheus) -> None:
    until(lambda: set() if prometheus.query("modelyard_operator_info") else {"operator"}, "no metrics")
    with operator_cut_off():
        expect_alerts(prometheus, SILENT)


def test_alerts_fire_without_the_deployments_of_the_release(prometheus: Prometheus) -> None:
    parts = [f"modelyard-{part}" for part in ("gateway", "scaler", "activator")]
    scale = ("scale", "deployment", "modelyard", *parts)
    SYSTEM(*scale, "--replicas=0")
    try:
        expect_alerts(prometheus, STOPPED)
    finally:
        SYSTEM(*scale, "--replicas=1")


@pytest.fixture
def faulty_release(team: Kubectl) -> Iterator[None]:
    """The release with FAULTY, and Images that it cannot build."""
    old, new = [f"waiting-{number}" for number in range(2)], UNBUILT
    with changed_values(FAULTY):
        for name in old:
            team.apply(manifest(name, constant_driver(name)), image(name))
        for name in new:
            team.apply(manifest(name, constant_driver(name), pythonVersion="3.12"), image(name))
        team.apply(service("held", "one", autoScaler={"minReplicas": 0}))
        eventually(lambda: team.get_or_none("secret", "held-keys"), 60, "the keys of the Service held")
        yield
        team("delete", "img", *old, *new, "--wait=false")
        team("delete", "msvc", "rolled", "held", "--wait=false")  # the roll back would start its pods again


def test_alerts_fire_for_values_that_do_not_fit_the_cluster(
    faulty_release: None, prometheus: Prometheus, team: Kubectl
) -> None:
    expect_alerts(prometheus, UNFIT, repeat=lambda: ask_from_node(team, "held"))
