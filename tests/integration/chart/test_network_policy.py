"""The network policies of the example select the pods of a release; needs helm, but no cluster."""

from __future__ import annotations

from typing import Any

import pytest
import yaml
from tests.integration.chart.tools import CHART, Render, pods, settings

from modelyard.resources.build_job import build_job
from modelyard.resources.build_pod import BuildAttempt

POLICIES = {
    policy["metadata"]["name"]: policy["spec"]
    for policy in yaml.safe_load_all((CHART / "examples" / "networkpolicy.yaml").read_text(encoding="utf-8"))
}


@pytest.fixture(scope="session")
def running(render: Render) -> dict[str, dict[str, Any]]:
    """Return the pods of a release and of a build by name."""
    objects = render("--set", "gateway.enabled=true", "--set", "gateway.tls.disabled=true")
    build = BuildAttempt("build", "default/m", 1, 1, "r.example/m:t")
    return pods(objects) | {"build": build_job(build, settings(objects))["spec"]["template"]}


@pytest.mark.parametrize(
    ("policy", "pod"),
    [
        ("operator", "modelyard"),
        ("gateway", "modelyard-gateway"),
        ("builds", "build"),
        ("test", "modelyard-test"),
    ],
)
def test_policy_selects_exactly_one_pod(running: dict[str, dict[str, Any]], policy: str, pod: str) -> None:
    selector = POLICIES[policy]["podSelector"]["matchLabels"]
    chosen = {
        name for name, found in running.items() if selector.items() <= found["metadata"]["labels"].items()
    }
    assert chosen == {pod}
    ports = {port["port"] for rule in POLICIES[policy].get("ingress", ()) for port in rule["ports"]}
    named = {port["name"] for port in running[pod]["spec"]["containers"][0].get("ports", ())}
    assert ports <= named


def test_default_policy_denies_all_traffic() -> None:
    assert POLICIES["default-deny"] == {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}
    assert all(set(spec["policyTypes"]) >= {"Egress"} for spec in POLICIES.values())
