"""Monitors, dashboards and alerts of the chart on a real Prometheus, with real faults of a team's Services.

test_alerts.py and test_release_alerts.py have the alerts of the platform.
"""

from __future__ import annotations

import concurrent.futures
import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

import httpx
import pytest
import yaml
from tests.docs.pages import examples
from tests.support.cluster import ROOT, Kubectl, port_forward
from tests.support.objects import image, manifest, model, service
from tests.support.prometheus import RULES, Prometheus, at_once, job_of_monitor, until
from tests.support.release import monitors
from tests.support.runbooks import expect_alerts
from tests.support.status import wait_for_status

CHART: Final = ROOT / "charts" / "modelyard"
DASHBOARDS: Final = sorted((CHART / "files" / "dashboards").glob("*.json"))
WITH_FAULTS: Final = {
    "ModelyardImageFailed": "SourceDenied",
    "ModelyardServiceDown": "ValueError",
    "ModelyardServiceFailed": "ContainerCrashed",
    "ModelyardServiceErrors": "asked for",
    "ModelyardServiceOverloaded": "faulty:1",
    "ModelyardWorkersRestarting": "worker",
    "ModelyardServiceMemoryHigh": '"memory":"256Mi"',
    "ModelyardCollectionDegraded": "StorageNotConfigured",
    "ModelyardCollectionDropping": 'reason="spool_full"',
}
"""Alerts of a team's Services and Images, each with a text that the commands of its runbook print."""
NOT_SCRAPED: Final = {"ModelyardServiceNotScraped": "modelyard_scoring_ready"}
DRIVER: Final = """
import json
import os
import time
from pathlib import Path

kept = []


def init():
    pass


def memory(*names):
    files = [Path("/sys/fs/cgroup", name) for name in names]
    return int(next(file for file in files if file.exists()).read_text())


def run(body):
    text = json.loads(body)["do"]
    if text == "fail":
        raise ValueError("asked for")
    if text == "crash":
        os._exit(1)
    if text == "wait":
        time.sleep(3)
    if text == "fill":
        limit = memory("memory.max", "memory/memory.limit_in_bytes")
        while memory("memory.current", "memory/memory.usage_in_bytes") < 0.94 * limit:
            kept.append(bytearray(os.urandom(1 << 20)))
    if text == "stream":
        return (part for part in ("one", "two"))
    return "done"
"""


class Team:
    """The namespace of the test, and calls of its Services."""

    def __init__(self, kubectl: Kubectl) -> None:
        self.kubectl = kubectl

    def call(self, name: str, *orders: str, parallel: int = 1) -> list[int | None]:
        """Return the status of each response to the orders, None where the connection ended."""
        key = self.kubectl.secret(f"{name}-keys")["primaryKey"]
        with port_forward(self.kubectl.namespace, f"service/{name}", 80) as url:

            def send(order: str) -> int | None:
                try:
                    headers = {"Authorization": f"Bearer {key}"}
                    return httpx.post(
                        f"{url}/score", json={"do": order}, headers=headers, timeout=60
                    ).status_code
                except httpx.TransportError:
                    return None

            with concurrent.futures.ThreadPoolExecutor(parallel) as pool:
                return list(pool.map(send, orders))


@pytest.fixture(scope="module")
def prometheus(installed: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Prometheus]:
    """Prometheus with the monitors and alerts of the chart."""
    jobs = [job_of_monitor(monitor) for monitor in monitors()]
    with Prometheus(tmp_path_factory.mktemp("prometheus"), jobs, at_once(RULES)) as running:
        yield running


@pytest.fixture(scope="module")
def team(namespace: Callable[[], Kubectl], prometheus: Prometheus) -> Team:
    """A Service with two versions, and one for each fault. Prometheus runs already."""
    kubectl = namespace()
    kubectl.apply(
        manifest("watched", DRIVER),
        image("watched"),
        manifest("broken", "def init():\n    raise ValueError('no')\n\n\ndef run(body):\n    pass\n"),
        image("broken"),
        model("denied", "http://169.254.169.254/model"),
        manifest("denied", DRIVER, "denied"),
        image("denied"),
        service("broken", "broken"),
        service("watched", "watched"),
        service("faulty", "watched", maxConcurrentRequestsPerContainer=1),
        service("full", "watched", maxConcurrentRequestsPerContainer=1),
        # Nothing takes its records: the namespace names no storage.
        service("collecting", "watched", dataCollection={"storageEnabled": True, "maxBodyBytes": 1 << 20}),
    )
    for name in ("watched", "faulty", "full", "collecting"):
        wait_for_status(kubectl, "msvc", name, 180, state="Succeeded")
    return Team(kubectl)


@pytest.fixture(scope="module")
def faults(team: Team) -> None:
    """Requests and faults of each kind, and a second version of a Service."""
    team.call("watched", *["stay", "stream"] * 5)
    team.kubectl.patch("msvc", "watched", {"spec": {"maxConcurrentRequestsPerContainer": 2}})
    # Another client changes a child, which the operator reverts.
    team.kubectl.patch("service", "faulty", {"spec": {"type": "NodePort"}})
    team.call("full", "fill")
    team.call("collecting", *["x" * (1 << 20)] * 10)  # more than the spool of tests/e2e/values.yaml
    for _ in range(4):
        assert team.call("faulty", "fail", "stay")[0] == 500
        team.call("faulty", "crash")
        until(lambda: {code for code in map(str, team.call("faulty", "stay")) if code != "200"}, "restarted")
    assert 503 in team.call("faulty", *["wait"] * 6, parallel=6)
    wait_for_status(team.kubectl, "msvc", "watched", 120, state="Succeeded", version=2)
    team.call("watched", *["stay", "stream", "fail"] * 5)


def traffic(team: Team) -> None:
    """Send requests of each result, so that rates over the last seconds have values."""
    team.call("watched", "stay", "stream", "fail")
    team.call("faulty", *["wait"] * 3, "fail", parallel=4)
    team.call("collecting", "x" * (1 << 20))
    with port_forward("modelyard-system", "service/modelyard-gateway", 80) as url:
        models = httpx.get(f"{url}/api/subscriptions/s/resourceGroups/g/accounts/default/models", timeout=20)
    assert models.status_code == 401


def test_alerts_fire_for_their_faults(faults: None, team: Team, prometheus: Prometheus) -> None:
    def repeat() -> None:
        traffic(team)
        if "ModelyardWorkersRestarting" not in prometheus.firing():
            team.call("faulty", "crash")  # Prometheus may have found the replica after the earlier crashes

    expect_alerts(prometheus, WITH_FAULTS, team.kubectl.namespace, repeat=repeat)


def test_services_that_are_not_scraped_raise_an_alert(team: Team, tmp_path: Path) -> None:
    jobs = [job_of_monitor(monitor) for monitor in monitors() if monitor["kind"] == "ServiceMonitor"]
    with Prometheus(tmp_path / "no-pods", jobs, at_once(RULES)) as without_pods:
        expect_alerts(without_pods, NOT_SCRAPED, team.kubectl.namespace)


def test_each_panel_has_data(faults: None, team: Team, prometheus: Prometheus) -> None:
    namespace = team.kubectl.namespace
    values = {
        "$__rate_interval": "30s",
        "$namespace": namespace,
        "$service": "watched",
        "$version": ".*",
    }
    expressions = {
        f"{file.stem} / {panel['title']} / {target['refId']}": target["expr"]
        for file in DASHBOARDS
        for panel in json.loads(file.read_text(encoding="utf-8"))["panels"]
        for target in panel.get("targets", [])
    }
    assert len(expressions) > 50
    for name, value in values.items():
        expressions = {panel: text.replace(name, value) for panel, text in expressions.items()}

    def empty() -> set[str]:
        traffic(team)
        for panel in [panel for panel, text in expressions.items() if prometheus.query(text)]:
            del expressions[panel]  # it has had data
        return set(expressions)

    until(empty, "panels without data")


def test_variables_of_the_dashboards_have_values(faults: None, team: Team, prometheus: Prometheus) -> None:
    for file in DASHBOARDS:
        for variable in json.loads(file.read_text(encoding="utf-8"))["templating"]["list"]:
            if variable["type"] != "query":
                continue
            parts = re.fullmatch(r"label_values\((.+), (\w+)\)", variable["query"])
            assert parts is not None, variable["query"]
            selector = parts[1].replace("$namespace", team.kubectl.namespace).replace("$service", "watched")
            found = prometheus.query(f"count by ({parts[2]}) ({selector})")
            assert any(series["metric"].get(parts[2]) for series in found), variable["query"]


def test_series_of_pods_have_service_version_and_image(
    faults: None, team: Team, prometheus: Prometheus
) -> None:
    namespace = team.kubectl.namespace
    (series,) = prometheus.query(f'modelyard_scoring_ready{{namespace="{namespace}", service="watched"}}')
    location = team.kubectl.get("msvc", "watched")["status"]["imageLocation"]
    name, _, digest = location.rpartition("/")[2].partition("@sha256:")
    assert series["metric"]["version"] == "2"
    assert series["metric"]["image"] == f"{name}@{digest[:12]}"
    assert not prometheus.query('{__name__=~"modelyard_.+", exported_namespace!=""}')


def test_documented_configuration_scrapes_the_same(
    faults: None, team: Team, prometheus: Prometheus, tmp_path: Path
) -> None:
    (block,) = [each for each in examples("docs/watch.md") if each.text.startswith("scrape_configs:")]
    jobs = yaml.safe_load(block.text)["scrape_configs"]
    labels = "namespace, service, version, image, pod"
    expressions = [
        f'count by ({labels}) (modelyard_scoring_ready{{namespace="{team.kubectl.namespace}"}})',
        "count by (namespace, service) (modelyard_service_replicas)",
        "count by (version) (modelyard_operator_info)",
        "count by (version) (modelyard_gateway_info)",
        "count by (version) (modelyard_scaler_info)",
    ]

    def found(server: Prometheus) -> set[str]:
        return {
            json.dumps(series["metric"], sort_keys=True)
            for text in expressions
            for series in server.query(text)
        }

    with Prometheus(tmp_path / "plain", jobs, at_once(RULES)) as plain:
        until(lambda: found(prometheus) ^ found(plain), "series differ")
    assert len(found(prometheus)) > len(expressions)
