"""The network policies of the chart, by the semantics of NetworkPolicy; needs helm, but no cluster."""

from __future__ import annotations

import ipaddress
from typing import Any

import pytest
from tests.integration.chart.tools import CommandError, Render, of_kind, pods, settings
from tests.support.network_policies import Endpoint, Policies

from modelyard.resources.build_job import build_job
from modelyard.resources.build_pod import BuildAttempt
from modelyard.settings import OperatorSettings

SYSTEM = "modelyard-system"
ALL = (
    "--set", "gateway.enabled=true", "--set", "gateway.tls.disabled=true",
    "--set", "registry.cleanup.enabled=true", "--set", "networkPolicy.scoring.namespaces={team}",
)  # fmt: skip
API_SERVER = Endpoint("172.18.0.2")
HUB = Endpoint("203.0.113.5")
METADATA = Endpoint("169.254.169.254")
DNS = Endpoint("10.0.0.53", "kube-system", {"k8s-app": "kube-dns"})
STORE = Endpoint("10.0.0.60", "minio", {"app": "minio"})
STRANGER = Endpoint("10.0.0.61", "team-b", {"app": "x"})
PROMETHEUS = Endpoint("10.0.0.62", "monitoring", {"app": "prometheus"})
INGRESS = Endpoint("10.0.0.63", "ingress", {"app": "nginx"})
SERVICE = Endpoint("10.0.0.64", "team", {"modelyard.dev/service": "m"}, {"http": 5001})
OTHER_SERVICE = Endpoint("10.0.0.65", "team-c", {"modelyard.dev/service": "m"}, {"http": 5001})


class Network:
    """A release with its policies."""

    def __init__(self, objects: list[dict[str, Any]], **options: Any) -> None:
        build = BuildAttempt("build", "default/m", 1, 1, "r.example/m:t")
        templates = {name.removeprefix("modelyard-"): pod for name, pod in pods(objects).items()}
        (cleanup,) = of_kind(objects, "CronJob")
        templates |= {
            "build": build_job(build, settings(objects))["spec"]["template"],
            "cleanup": cleanup["spec"]["jobTemplate"]["spec"]["template"],
        }
        self.pods = {
            name: Endpoint.of_pod(pod, f"10.0.1.{number}", SYSTEM)
            for number, (name, pod) in enumerate(templates.items())
        }
        self.policies = Policies(of_kind(objects, "NetworkPolicy"), **options)

    def allows(
        self, source: str | Endpoint, target: str | Endpoint, port: int, protocol: str = "TCP"
    ) -> bool:
        """Return whether a pod may connect to another one; pods of the release are named."""
        ends = [self.pods[end] if isinstance(end, str) else end for end in (source, target)]
        return self.policies.allow(ends[0], ends[1], port, protocol)


@pytest.fixture(scope="module")
def network(render: Render) -> Network:
    return Network(render(*ALL))


@pytest.mark.parametrize(
    ("source", "target", "port"),
    [
        ("modelyard", API_SERVER, 6443), ("modelyard", HUB, 443), ("modelyard", DNS, 53),
        ("cleanup", API_SERVER, 6443), ("cleanup", HUB, 443), ("cleanup", DNS, 5353),
        ("gateway", API_SERVER, 6443), ("gateway", DNS, 53),
        ("test", API_SERVER, 443), ("test", "modelyard", 8080), ("test", "modelyard", 8081),
        ("build", HUB, 443), ("build", HUB, 9000), ("build", STORE, 9000), ("build", DNS, 53),
        (PROMETHEUS, "modelyard", 8080),
        (STRANGER, "gateway", 8443), (INGRESS, "gateway", 8443),
        (INGRESS, SERVICE, 5001), (SERVICE, HUB, 5432), (SERVICE, STORE, 9000), (SERVICE, DNS, 53),
        (STRANGER, OTHER_SERVICE, 9999),
    ],
)  # fmt: skip
def test_needed_connection_is_allowed(
    network: Network, source: str | Endpoint, target: str | Endpoint, port: int
) -> None:
    assert network.allows(source, target, port)
    if target is DNS:
        assert network.allows(source, target, port, "UDP")


@pytest.mark.parametrize(
    ("source", "target", "port"),
    [
        (STRANGER, "modelyard", 8080), (STRANGER, "modelyard", 8081), (PROMETHEUS, "modelyard", 8081),
        (STRANGER, "build", 8080), (STRANGER, "cleanup", 80), (STRANGER, "test", 80),
        (STRANGER, "gateway", 8080), (STRANGER, SERVICE, 8080), ("build", "modelyard", 8080),
        ("build", "build", 1), (SERVICE, "modelyard", 8080),
        ("modelyard", METADATA, 80), ("modelyard", STORE, 9000), ("modelyard", HUB, 22),
        ("gateway", METADATA, 80), ("gateway", STORE, 5000), ("cleanup", METADATA, 80),
        ("test", HUB, 80), ("build", METADATA, 80), (SERVICE, METADATA, 80),
    ],
)  # fmt: skip
def test_other_connection_is_denied(
    network: Network, source: str | Endpoint, target: str | Endpoint, port: int
) -> None:
    assert not network.allows(source, target, port)


@pytest.mark.parametrize("denied", OperatorSettings().sources.denied_networks)
def test_denied_networks_are_denied_outside_of_the_build_process_too(network: Network, denied: str) -> None:
    block = ipaddress.ip_network(denied)
    for address in (block[0], block[-1]):
        assert not network.allows("build", Endpoint(str(address)), 80)
        assert not network.allows(SERVICE, Endpoint(str(address)), 80)


def test_policies_hold_where_blocks_do_not_include_pods(render: Render) -> None:
    """As with Cilium: the pods of a registry, of DNS and the API server are still reached."""
    network = Network(render(*ALL), blocks_match_pods=False)
    for source, target, port in [
        ("modelyard", STORE, 443), ("modelyard", API_SERVER, 6443), ("build", STORE, 443), ("build", DNS, 53),
        ("build", HUB, 8000),
    ]:  # fmt: skip
        assert network.allows(source, target, port)


def test_ports_in_image_names_and_proxies_are_allowed(render: Render) -> None:
    network = Network(
        render(
            *ALL,
            "--set", "registry.internal=registry.infra:5000", "--set", "networkPolicy.registryPorts={5005}",
            "--set-json", 'build.baseImages={"3.11": "mirror.example.com:5001/library/python:3.11"}',
            "--set-json", 'build.sparkImages={"3.11": "mirror.example.com:5002/spark"}',
            "--set-json", 'extraEnv=[{"name": "HTTPS_PROXY", "value": "http://proxy:3128/"}]',
        )
    )  # fmt: skip
    for port in (443, 5000, 5001, 5002, 5005, 3128):
        assert network.allows("modelyard", STORE, port)
    assert not network.allows("modelyard", STORE, 3129)
    assert not network.allows("gateway", STORE, 5000)


def test_insecure_registry_without_a_port_is_allowed(render: Render) -> None:
    arguments = ("--set", "registry.internal=registry.infra", "--set", "registry.insecure=true")
    assert Network(render(*ALL, *arguments)).allows("modelyard", STORE, 80)


def test_networks_of_the_values_limit_builds(render: Render) -> None:
    arguments = (
        "--set", "build.sources.deniedNetworks={10.0.0.0/8}",
        "--set", "build.sources.allowedNetworks={10.0.0.60/32}",
    )  # fmt: skip
    network = Network(render(*ALL, *arguments))
    assert network.allows("build", STORE, 9000)
    assert not network.allows("build", STRANGER, 9000)
    assert network.allows("build", STRANGER, 443)  # a registry in the cluster has such an address


@pytest.mark.parametrize("allowed", ["10.0.0.60/32", ""])
def test_denial_of_all_networks_leaves_the_exceptions(render: Render, allowed: str) -> None:
    arguments = ("--set", "build.sources.deniedNetworks={0.0.0.0/0,::/0}")
    exceptions = ("--set", f"build.sources.allowedNetworks={{{allowed}}}") if allowed else ()
    network = Network(render(*ALL, *arguments, *exceptions))
    assert network.allows("build", STORE, 9000) == bool(allowed)
    assert not network.allows("build", HUB, 9000)


def test_peers_of_the_values_replace_the_defaults(render: Render) -> None:
    peers = '[{"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "ingress"}}}]'
    parts = ("metrics", "gateway", "scoring")
    arguments = [item for part in parts for item in ("--set-json", f"networkPolicy.{part}.from={peers}")]
    extra = [
        item
        for part in ("operator", "builds", "scoring")
        for item in ("--set-json", f'networkPolicy.{part}.egress=[{{"ports": [{{"port": 1234}}]}}]')
    ]
    network = Network(render(*ALL, *arguments, *extra))
    for target, port in (("modelyard", 8080), ("gateway", 8443), (SERVICE, 5001)):
        assert network.allows(INGRESS, target, port)
        assert not network.allows(STRANGER, target, port)
    assert not network.allows(PROMETHEUS, "modelyard", 8080)
    for source in ("modelyard", "cleanup", "build", SERVICE):
        assert network.allows(source, METADATA, 1234)


def test_empty_list_of_scrapers_admits_none(render: Render) -> None:
    network = Network(render(*ALL, "--set-json", "networkPolicy.metrics.from=[]"))
    assert not network.allows(PROMETHEUS, "modelyard", 8080)


def test_policies_can_be_disabled(render: Render) -> None:
    assert not of_kind(render(*ALL, "--set", "networkPolicy.enabled=false"), "NetworkPolicy")


@pytest.mark.parametrize("path", ["extraEnv", "build.extraEnv"])
def test_variable_with_a_password_is_refused(render: Render, path: str) -> None:
    values = '[{"name": "HTTPS_PROXY", "value": "http://me:hunter2@proxy:3128"}]'
    with pytest.raises(CommandError, match=rf"{path}: the value of HTTPS_PROXY has a password.*secretKeyRef"):
        render("--set-json", f"{path}={values}")
    reference = '[{"name": "HTTPS_PROXY", "valueFrom": {"secretKeyRef": {"name": "proxy", "key": "url"}}}]'
    assert render("--set-json", f"{path}={reference}")


def test_pods_have_no_variables_of_other_services(render: Render) -> None:
    objects = render(*ALL)
    assert all(pod["spec"]["enableServiceLinks"] is False for pod in pods(objects).values())
