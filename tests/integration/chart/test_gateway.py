"""The gateway as the chart renders it; needs helm, but no cluster."""

from __future__ import annotations

from typing import Any

import pytest
import yaml
from tests.integration.chart.tools import CommandError, Render, of_kind

from modelyard.gateway.settings import GatewaySettings

NAME = "modelyard-gateway"
ENABLED = ("--set", "gateway.enabled=true")
WITH_TLS = (*ENABLED, "--set", "gateway.tls.secretName=cert")


def gateway(objects: list[dict[str, Any]], kind: str) -> dict[str, Any]:
    (found,) = (item for item in objects if (item["kind"], item["metadata"]["name"]) == (kind, NAME))
    return found


def test_gateway_is_off_by_default(render: Render) -> None:
    assert NAME not in {item["metadata"]["name"] for item in render()}


def test_gateway_requires_a_certificate(render: Render) -> None:
    with pytest.raises(CommandError, match=r"gateway\.tls"):
        render(*ENABLED)


def test_gateway_has_no_rights_and_no_token(render: Render) -> None:
    objects = render(*WITH_TLS)
    bindings = [item for item in objects if item["kind"].endswith("Binding")]
    assert NAME not in {subject["name"] for item in bindings for subject in item["subjects"]}
    assert gateway(objects, "ServiceAccount")["automountServiceAccountToken"] is False
    pod = gateway(objects, "Deployment")["spec"]["template"]["spec"]
    assert (pod["serviceAccountName"], pod["automountServiceAccountToken"]) == (NAME, False)


def test_gateway_pods_are_no_endpoints_of_the_operators_service(render: Render) -> None:
    objects = render(*WITH_TLS)
    (service,) = (
        item for item in objects if (item["kind"], item["metadata"]["name"]) == ("Service", "modelyard")
    )
    labels = gateway(objects, "Deployment")["spec"]["template"]["metadata"]["labels"]
    assert not service["spec"]["selector"].items() <= labels.items()
    assert gateway(objects, "Service")["spec"]["selector"].items() <= labels.items()


@pytest.mark.parametrize(
    ("arguments", "port", "scheme", "certificate"),
    [
        (("--set", "gateway.tls.secretName=cert"), 443, "HTTPS", "/etc/modelyard/tls/tls.crt"),
        (("--set", "gateway.tls.issuerRef.name=ca"), 443, "HTTPS", "/etc/modelyard/tls/tls.crt"),
        (("--set", "gateway.tls.disabled=true"), 80, "HTTP", None),
    ],
)
def test_tls_values_set_port_scheme_and_certificate(
    render: Render, arguments: tuple[str, ...], port: int, scheme: str, certificate: str | None
) -> None:
    objects = render(*ENABLED, *arguments)
    settings = GatewaySettings.model_validate(
        yaml.safe_load(gateway(objects, "ConfigMap")["data"]["settings.yaml"])
    )
    assert settings.tls_certificate_path == certificate
    assert gateway(objects, "Service")["spec"]["ports"][0]["port"] == port
    (container,) = gateway(objects, "Deployment")["spec"]["template"]["spec"]["containers"]
    assert container["readinessProbe"]["httpGet"]["scheme"] == scheme
    certificates = [item for item in objects if item["kind"] == "Certificate"]
    assert bool(certificates) == ("issuerRef" in str(arguments))


def test_single_replica_has_no_disruption_budget(render: Render) -> None:
    def budgets(replicas: int) -> set[str]:
        objects = render(*WITH_TLS, "--set", f"gateway.replicas={replicas}")
        return {item["metadata"]["name"] for item in of_kind(objects, "PodDisruptionBudget")}

    (budget,) = budgets(2) - budgets(1)
    assert budget.endswith("-gateway")
