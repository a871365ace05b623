"""Monitors, alerts and dashboards of the chart."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest
import yaml
from charts.dashboards.__main__ import documents
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models.dashboard import Dashboard
from tests.integration.chart.alerts import FAULTS, unit_tests
from tests.integration.chart.tools import CHART, Render, Run
from tests.support.cluster import ROOT
from tests.support.programs import program

ALL: Final = (
    "--set", "monitoring.monitors.enabled=true",
    "--set", "monitoring.rules.enabled=true",
    "--set", "monitoring.dashboards.enabled=true",
    "--set", "gateway.enabled=true",
    "--set", "gateway.tls.disabled=true",
)  # fmt: skip
DASHBOARDS: Final = sorted((Path(CHART) / "files" / "dashboards").glob("*.json"))
RULES: Final = Path(CHART) / "files" / "rules.yaml"
KINDS: Final = ("podmonitors", "prometheusrules", "servicemonitors")


def of_kind(objects: list[dict[str, Any]], kind: str) -> list[dict[str, Any]]:
    return [item for item in objects if item["kind"] == kind]


@pytest.fixture
def monitoring_kinds(kubectl: Run) -> Iterator[None]:
    """The kinds of the Prometheus operator exist for a test."""
    folder = program("prometheus-operator-crds")
    files = [str(folder / f"monitoring.coreos.com_{kind}.yaml") for kind in KINDS]
    # Server-side: the annotation of a client-side apply is too small for these schemas.
    kubectl("apply", "--server-side", *(f"--filename={file}" for file in files))
    kubectl("wait", "--for=condition=Established", "--timeout=60s", *(f"--filename={file}" for file in files))
    yield
    kubectl("delete", *(f"--filename={file}" for file in files))


def test_api_server_accepts_monitors_and_rules(
    monitoring_kinds: None, render: Render, tmp_path: Path, kubectl: Run
) -> None:
    namespaced = [item for item in render(*ALL) if item["apiVersion"] == "monitoring.coreos.com/v1"]
    assert sorted(item["kind"] for item in namespaced) == [
        *["PodMonitor"] * 2, "PrometheusRule", *["ServiceMonitor"] * 4,
    ]  # fmt: skip
    for item in namespaced:
        item["metadata"]["namespace"] = "default"
    file = tmp_path / "monitoring.json"
    file.write_text(json.dumps({"apiVersion": "v1", "kind": "List", "items": namespaced}))
    kubectl("apply", "--dry-run=server", "--validate=strict", "--filename", str(file))


def test_monitoring_is_off_by_default(render: Render) -> None:
    kinds = {"PodMonitor", "ServiceMonitor", "PrometheusRule"}
    assert not [item for item in render() if item["kind"] in kinds or "dashboard" in item["metadata"]["name"]]


def test_monitors_select_the_metrics_services(render: Render) -> None:
    objects = render(
        *ALL, "--set", "monitoring.monitors.interval=1m", "--set", "monitoring.monitors.labels.a=b"
    )
    monitors = of_kind(objects, "ServiceMonitor")
    assert {monitor["metadata"]["name"] for monitor in monitors} == {
        "modelyard", "modelyard-gateway", "modelyard-scaler", "modelyard-activator",
    }  # fmt: skip
    for monitor in monitors:
        assert monitor["metadata"]["labels"]["a"] == "b"
        (endpoint,) = monitor["spec"]["endpoints"]
        assert endpoint["interval"] == "1m"
        selector = monitor["spec"]["selector"]["matchLabels"].items()
        (service,) = [
            item for item in of_kind(objects, "Service") if selector <= item["metadata"]["labels"].items()
        ]
        assert endpoint["port"] in {port["name"] for port in service["spec"]["ports"]}


@pytest.mark.parametrize(
    ("watched", "selector"),
    [("{}", {"any": True}), ("{team-a,team-b}", {"matchNames": ["team-a", "team-b"]})],
)
def test_pods_are_monitored_where_the_operator_watches(
    watched: str, selector: dict[str, Any], render: Render
) -> None:
    arguments = () if watched == "{}" else ("--set", f"watchNamespaces={watched}")
    monitors = of_kind(render(*ALL, *arguments), "PodMonitor")
    assert {monitor["metadata"]["name"] for monitor in monitors} == {
        "modelyard-services", "modelyard-collectors",
    }  # fmt: skip
    for monitor in monitors:
        assert monitor["spec"]["namespaceSelector"] == selector


def test_network_policies_let_prometheus_in(render: Render) -> None:
    client = "networkPolicy.scoring.from[0].podSelector.matchLabels.app=client"
    objects = render(*ALL, "--set", "networkPolicy.scoring.namespaces={team}", "--set", client)
    for name, port in (("modelyard-gateway", "metrics"), ("modelyard-scoring", "http")):
        (policy,) = [item for item in of_kind(objects, "NetworkPolicy") if item["metadata"]["name"] == name]
        monitoring = {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "monitoring"}}}
        assert {"from": [monitoring], "ports": [{"port": port}]} in policy["spec"]["ingress"]


def test_rules_have_runbooks_and_the_labels_of_the_values(render: Render) -> None:
    values = (
        "monitoring.rules.runbookUrl=https://git.example.com/runbooks/",
        "monitoring.rules.alertLabels.team=ml",
        "monitoring.rules.disabled={ModelyardImageFailed}",
    )
    objects = render(*ALL, *(part for value in values for part in ("--set", value)))
    (item,) = of_kind(objects, "PrometheusRule")
    rules = [rule for group in item["spec"]["groups"] for rule in group["rules"]]
    assert {rule["alert"] for rule in rules} == set(FAULTS) - {"ModelyardImageFailed"}
    for rule in rules:
        assert rule["labels"]["team"] == "ml"
        assert rule["annotations"]["runbook_url"] == f"https://git.example.com/runbooks/{rule['alert']}.md"
        assert (ROOT / rule["annotations"]["runbook"]).is_file()


def test_alerts_of_parts_that_are_off_are_left_out(render: Render) -> None:
    off = (
        "--set",
        "gateway.enabled=false",
        "--set",
        "scaling.enabled=false",
        "--set",
        "scaling.zero.enabled=false",
    )
    groups = [
        {group["name"] for group in of_kind(render(*ALL, *arguments), "PrometheusRule")[0]["spec"]["groups"]}
        for arguments in ((), off)
    ]
    assert groups[0] - groups[1] == {"modelyard-gateway", "modelyard-scaler", "modelyard-activator"}


def test_each_alert_has_a_runbook_with_all_sections() -> None:
    index = (ROOT / "docs/runbooks/README.md").read_text(encoding="utf-8")
    pages = {path.stem for path in (ROOT / "docs/runbooks").glob("Modelyard*.md")}
    assert pages == set(FAULTS)
    for page in pages:
        text = (ROOT / f"docs/runbooks/{page}.md").read_text(encoding="utf-8")
        assert re.findall(r"^## (.+)$", text, re.MULTILINE) == [
            "Meaning",
            "Impact",
            "Diagnosis",
            "Mitigation",
        ]
        assert f"]({page}.md)" in index


def test_promtool_accepts_the_rules(render: Render, tmp_path: Path) -> None:
    (item,) = of_kind(render(*ALL), "PrometheusRule")
    file = tmp_path / "rules.yaml"
    file.write_text(yaml.safe_dump(item["spec"]))
    promtool("check", "rules", str(file))


def test_each_alert_fires_with_its_fault_and_not_without(tmp_path: Path) -> None:
    rules = yaml.safe_load(RULES.read_text(encoding="utf-8"))
    assert {rule["alert"] for group in rules["groups"] for rule in group["rules"]} == set(FAULTS)
    for group in rules["groups"]:
        for rule in group["rules"]:
            del rule["annotations"]  # promtool would compare their text
    (tmp_path / "rules.yaml").write_text(yaml.safe_dump(rules))
    tests = {"rule_files": ["rules.yaml"], "evaluation_interval": "1m", "tests": unit_tests(rules)}
    (tmp_path / "tests.yaml").write_text(yaml.safe_dump(tests))
    promtool("test", "rules", str(tmp_path / "tests.yaml"))


def promtool(*arguments: str) -> None:
    done = subprocess.run(
        [program("promtool"), *arguments], capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_dashboards_are_current() -> None:
    assert {path: path.read_text(encoding="utf-8") for path in DASHBOARDS} == documents(), (
        "run `make dashboards`"
    )


@pytest.mark.parametrize("file", DASHBOARDS, ids=lambda file: file.stem)
def test_dashboard_has_only_fields_of_grafana(file: Path) -> None:
    document = json.loads(file.read_text(encoding="utf-8"))
    assert json.loads(JSONEncoder().encode(Dashboard.from_json(document))) == document


def test_each_dashboard_is_a_config_map_for_the_sidecar(render: Render) -> None:
    maps = [item for item in of_kind(render(*ALL), "ConfigMap") if "dashboard" in item["metadata"]["name"]]
    assert {json.loads(text)["uid"] for item in maps for text in item["data"].values()} == {
        "modelyard-fleet", "modelyard-service", "modelyard-platform",
    }  # fmt: skip
    assert all(item["metadata"]["labels"]["grafana_dashboard"] == "1" for item in maps)
