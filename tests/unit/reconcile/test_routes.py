"""Public addresses of Services: routes, the condition RouteReady, and status.url."""

from __future__ import annotations

import datetime as dt
from typing import Any, Final

import pytest
from tests.unit.fake_api_server import Call, Killed
from tests.unit.operator_harness import OperatorHarness, sample_objects, service

from modelyard.api.resources import CUSTOM_RESOURCES
from modelyard.kube.types import DEPLOYMENTS, GATEWAYS, HTTP_ROUTES, INGRESSES, SECRETS, ApiResource, Json
from modelyard.settings import OperatorSettings, RoutingSettings

INTERNAL: Final = "http://m.default.svc.cluster.local/score"
HOST: Final = "m.default.models.example.com"
SERVICES: Final = CUSTOM_RESOURCES["Service"]


def settings(**fields: Any) -> OperatorSettings:
    usual = {
        "kind": "HTTPRoute",
        "host": "{service}.{namespace}.models.example.com",
        "gateway": {"name": "public", "namespace": "infra"},
    }
    return OperatorSettings(routing=RoutingSettings.model_validate(usual | fields))


def condition(type_: str, status: str = "True", reason: str = "", message: str = "") -> Json:
    reason = reason or type_
    return {"type": type_, "status": status, "reason": reason, "message": message, "observedGeneration": 1}


SERVES: Final = [condition("Accepted"), condition("ResolvedRefs"), condition("Programmed")]


def gateway(*conditions: Json, listener: Json | None = None, **fields: Any) -> Json:
    """Return a Gateway with an HTTPS listener whose status has conditions, by default those of a good one."""
    section = {"name": "https", "protocol": "HTTPS", "port": 443} | fields
    status = {"conditions": SERVES, "listeners": [{"name": "https", "conditions": conditions or SERVES}]}
    return {
        **GATEWAYS.header(),
        "metadata": {"name": "public"},
        "spec": {"listeners": [section, *([listener] if listener else [])]},
        "status": status,
    }


def report(harness: OperatorHarness, *conditions: Json, name: str = "m", generation: int = 1) -> None:
    """Let the data plane report on an HTTPRoute, by default that it serves the route."""
    route = harness.cluster.at(HTTP_ROUTES, name)
    found = conditions or (condition("Accepted"), condition("ResolvedRefs"))
    parent = {
        "parentRef": {"group": GATEWAYS.api_version.split("/")[0], "kind": "Gateway"}
        | route["spec"]["parentRefs"][0],
        "controllerName": "example.com/gateway",
        "conditions": [one | {"observedGeneration": generation} for one in found],
    }
    harness.cluster.change(HTTP_ROUTES, "default", name, {"status": {"parents": [parent]}}, "status")


async def started(
    values: OperatorSettings | None = None, gateway_body: Json | None = None
) -> OperatorHarness:
    """Start an operator with a Gateway, apply the four objects, and let their pods and builds proceed."""
    harness = OperatorHarness(values or settings())
    harness.cluster.put(GATEWAYS, "infra", gateway_body or gateway())
    await harness.start()
    harness.apply(*sample_objects())
    await harness.play(seconds=10)
    return harness


def route_ready(harness: OperatorHarness, name: str = "m") -> tuple[str, str]:
    found = harness.condition("Service", "RouteReady", name)
    return found["status"], found["reason"]


def routes(harness: OperatorHarness, resource: ApiResource = HTTP_ROUTES) -> list[str]:
    return sorted(body["metadata"]["name"] for body in harness.cluster.all(resource))


async def test_service_gets_its_url_when_the_data_plane_reports() -> None:
    harness = await started()
    assert harness.summary("Service") == ("m:1", "Running", "RouteNotReady")
    assert harness.status("Service")["scoringUri"] == INTERNAL
    report(harness)
    await harness.play(seconds=10)
    assert harness.summary("Service") == ("m:1", "Succeeded", "Serving")
    assert harness.status("Service")["url"] == f"https://{HOST}"
    assert harness.status("Service")["scoringUri"] == f"https://{HOST}/score"
    assert route_ready(harness) == ("True", "RouteProgrammed")
    await harness.stop()


async def test_url_costs_one_write_if_the_data_plane_reports_while_the_pods_start() -> None:
    writes = []
    for values in (OperatorSettings(), settings()):
        harness = OperatorHarness(values)
        harness.serves = False
        harness.cluster.put(GATEWAYS, "infra", gateway())
        await harness.start()
        harness.apply(*sample_objects())
        await harness.play(seconds=3)
        if values.routing.kind:
            report(harness)
        await harness.play(seconds=3)
        harness.serves = True
        await harness.play(seconds=3)
        assert harness.summary("Service") == ("m:1", "Succeeded", "Serving")
        writes.append(len(harness.cluster.writes))
        await harness.stop()
    assert writes[1] == writes[0] + 1


async def test_operation_ends_although_no_data_plane_reports() -> None:
    harness = await started()
    await harness.play(seconds=120)
    assert harness.summary("Service") == ("m:1", "Succeeded", "RouteNotReady")
    assert harness.condition("Service", "Stalled")["status"] == "False"
    assert route_ready(harness) == ("False", "RoutePending")
    assert harness.status("Service")["scoringUri"] == INTERNAL
    assert "url" not in harness.status("Service")
    await harness.stop()


REFUSED: Final = condition(
    "Accepted", "False", "NotAllowedByListeners", "no listener allows routes of default"
)
CERTIFICATE: Final = condition(
    "ResolvedRefs", "False", "InvalidCertificateRef", "Secret public-tls not found"
)


def unaccepted(body: Json) -> Json:
    """Return a Gateway as Traefik reports it while none of its listeners is valid."""
    conditions = [
        condition("Accepted", "False", "ListenersNotValid", "At least one Listener must be valid"),
        condition("Programmed", "False", "Invalid", "No Listener is valid"),
    ]
    return body | {"status": body["status"] | {"conditions": conditions}}


@pytest.mark.parametrize(
    ("gateway_body", "reason", "words"),
    [
        (gateway(CERTIFICATE), "CertificateMissing", "public-tls not found"),
        (unaccepted(gateway(CERTIFICATE)), "CertificateMissing", "public-tls not found"),
        (gateway(condition("Programmed", "False", "Invalid", "m1")), "ListenerNotProgrammed", "Invalid: m1"),
        (gateway(condition("Accepted")), "ListenerNotProgrammed", "has not reported"),
        (gateway(hostname="*.other.example.com"), "ListenerMissing", f"accepts {HOST}"),
        (gateway(protocol="TCP"), "ListenerMissing", "no HTTP or HTTPS listener"),
        (
            gateway() | {"status": {"conditions": [condition("Accepted", "False", "Invalid")]}},
            "GatewayNotProgrammed",
            "Invalid",
        ),
        (gateway() | {"status": {}}, "GatewayNotProgrammed", "has not reported"),
    ],
)
async def test_condition_names_the_fault_of_the_gateway(gateway_body: Json, reason: str, words: str) -> None:
    harness = await started(gateway_body=gateway_body)
    report(harness)
    await harness.play(seconds=10)
    assert route_ready(harness) == ("False", reason)
    assert words in harness.condition("Service", "RouteReady")["message"]
    assert harness.summary("Service")[1:] == ("Succeeded", "RouteNotReady")
    harness.cluster.change(GATEWAYS, "infra", "public", gateway())
    await harness.play(seconds=10)
    assert route_ready(harness) == ("True", "RouteProgrammed")
    await harness.stop()


async def test_condition_has_the_refusal_of_the_route() -> None:
    harness = await started()
    report(harness, REFUSED)
    await harness.play(seconds=10)
    assert route_ready(harness) == ("False", "NotAllowedByListeners")
    assert "no listener allows" in harness.condition("Service", "Ready")["message"]
    await harness.stop()


async def test_data_plane_that_reads_the_route_before_the_core_service_does_not_end_the_operation() -> None:
    harness = await started()
    report(
        harness, condition("Accepted"), condition("ResolvedRefs", "False", "BackendNotFound", "no Service m")
    )
    await harness.play(seconds=10)
    assert harness.summary("Service")[1:] == ("Running", "RouteNotReady")
    assert "no Service m" in harness.condition("Service", "Ready")["message"]
    report(harness)
    await harness.play(seconds=10)
    assert harness.status("Service")["scoringUri"] == f"https://{HOST}/score"
    await harness.stop()


async def test_report_of_another_gateway_or_generation_does_not_count() -> None:
    harness = await started()
    report(harness, generation=0)
    await harness.play(seconds=3)
    assert harness.summary("Service")[1:] == ("Running", "RouteNotReady")
    parents = [{"parentRef": {"name": "other", "namespace": "infra"}, "conditions": SERVES}]
    harness.cluster.change(HTTP_ROUTES, "default", "m", {"status": {"parents": parents}}, "status")
    await harness.play(seconds=3)
    assert harness.summary("Service")[1:] == ("Running", "RouteNotReady")
    await harness.stop()


async def test_gateway_that_appears_later_is_noticed() -> None:
    harness = OperatorHarness(settings())
    await harness.start()
    harness.apply(*sample_objects())
    await harness.play(seconds=10)
    assert route_ready(harness) == ("False", "GatewayMissing")
    harness.cluster.put(GATEWAYS, "infra", gateway(port=8443))
    report(harness)
    await harness.play(seconds=10)
    assert harness.status("Service")["url"] == f"https://{HOST}:8443"
    harness.cluster.remove(GATEWAYS, "infra", "public")
    await harness.play(seconds=10)
    assert route_ready(harness) == ("False", "GatewayMissing")
    assert harness.status("Service")["url"] == f"https://{HOST}:8443"  # an address does not change by a fault
    await harness.stop()


async def test_https_listener_comes_before_one_of_http() -> None:
    plain = {"name": "http", "protocol": "HTTP", "port": 80}
    body = gateway(listener=plain)
    body["spec"]["listeners"].reverse()
    body["status"]["listeners"].append({"name": "http", "conditions": SERVES})
    harness = await started(gateway_body=body)
    report(harness)
    await harness.play(seconds=10)
    assert harness.status("Service")["url"] == f"https://{HOST}"
    await harness.stop()


async def test_crds_of_the_gateway_api_that_are_installed_later_are_noticed() -> None:
    harness = OperatorHarness(settings())
    harness.supervision_seconds = 30
    harness.cluster.unserved = {HTTP_ROUTES, GATEWAYS}
    await harness.start()
    harness.apply(*sample_objects())
    await harness.play(seconds=40)
    assert harness.summary("Service")[1:] == ("Succeeded", "RouteNotReady")
    assert route_ready(harness) == ("False", "GatewayAPIMissing")
    assert not [
        call for call in harness.cluster.calls if call.verb == "watch" and call.resource == "httproutes"
    ]
    harness.cluster.unserved = set()
    harness.cluster.put(GATEWAYS, "infra", gateway())
    await harness.play(seconds=40)
    report(harness)
    await harness.play(seconds=10)
    assert route_ready(harness) == ("True", "RouteProgrammed")
    await harness.stop()


async def test_namespace_without_a_role_does_not_stop_the_routes_of_others() -> None:
    values = settings().model_copy(update={"watch_namespaces": ("gone", "default")})
    harness = OperatorHarness(values)
    harness.cluster.denied = {"gone"}
    harness.cluster.put(GATEWAYS, "infra", gateway())
    await harness.start()
    harness.apply(*sample_objects())
    await harness.play(seconds=10)
    report(harness)
    await harness.play(seconds=10)
    assert route_ready(harness) == ("True", "RouteProgrammed")
    await harness.stop()


async def test_operator_without_the_right_to_list_routes_says_so() -> None:
    harness = OperatorHarness(settings())
    harness.supervision_seconds = 30
    harness.cluster.denied = {"infra"}  # without the Role in the namespace of the Gateway
    harness.cluster.put(GATEWAYS, "infra", gateway())
    await harness.start()
    harness.apply(*sample_objects())
    await harness.play(seconds=10)
    assert route_ready(harness) == ("False", "RoutesForbidden")
    harness.cluster.denied = set()
    await harness.play(seconds=40)
    report(harness)
    await harness.play(seconds=10)
    assert route_ready(harness) == ("True", "RouteProgrammed")
    await harness.stop()


async def test_operator_without_routing_calls_no_kind_of_routes() -> None:
    harness = await started(OperatorSettings())
    assert not {"httproutes", "gateways", "ingresses"} & {call.resource for call in harness.cluster.calls}
    assert "url" not in harness.status("Service")
    assert harness.status("Service")["scoringUri"] == INTERNAL
    harness.change("Service", route={"host": "a.example.com"})
    await harness.play(seconds=10)
    assert route_ready(harness) == ("False", "NotOffered")
    assert harness.summary("Service")[1:] == ("Succeeded", "Serving")
    await harness.stop()


@pytest.mark.parametrize("by_chart", [True, False])
async def test_route_is_removed_when_the_service_is_no_longer_published(by_chart: bool) -> None:
    harness = await started()
    report(harness)
    await harness.play(seconds=10)
    if by_chart:
        await harness.stop()
        harness.settings = harness.settings.model_copy(update={"routing": settings(enabled=False).routing})
        await harness.start()
    else:
        harness.change("Service", route={"enabled": False})
    await harness.play(seconds=10)
    assert routes(harness) == []
    assert harness.summary("Service")[1:] == ("Succeeded", "Serving")
    assert "url" not in harness.status("Service")
    assert not [one for one in harness.status("Service")["conditions"] if one["type"] == "RouteReady"]
    await harness.stop()


async def test_changed_route_is_repaired_and_a_deleted_one_is_created_again() -> None:
    harness = await started()
    report(harness)
    await harness.play(seconds=10)
    harness.cluster.change(HTTP_ROUTES, "default", "m", {"spec": {"hostnames": ["evil.example.com"]}})
    await harness.play(seconds=10)
    assert harness.cluster.at(HTTP_ROUTES, "m")["spec"]["hostnames"] == [HOST]
    harness.cluster.remove(HTTP_ROUTES, "default", "m")
    await harness.play(seconds=10)
    assert routes(harness) == ["m"]
    await harness.stop()


async def test_route_of_a_stranger_is_never_changed() -> None:
    harness = OperatorHarness(settings())
    harness.cluster.put(GATEWAYS, "infra", gateway())
    harness.cluster.put(HTTP_ROUTES, "default", {"metadata": {"name": "m"}, "spec": {}})
    await harness.start()
    harness.apply(*sample_objects())
    await harness.play(seconds=10)
    assert harness.summary("Service")[1:] == ("Failed", "NameTaken")
    assert "HTTPRoute m exists" in harness.condition("Service", "Ready")["message"]
    assert harness.cluster.at(HTTP_ROUTES, "m")["spec"] == {}
    await harness.stop()


async def test_oldest_service_holds_an_address_and_its_deletion_frees_it() -> None:
    values = settings(hosts={"shared.example.com": ["*"]})
    harness = await started(values)
    harness.change("Service", route={"host": "shared.example.com"})
    await harness.play(seconds=10)
    harness.clock.move_to(harness.clock() + dt.timedelta(seconds=10))
    harness.apply(service("young", route={"host": "shared.example.com"}))
    await harness.play(seconds=10)
    assert routes(harness) == ["m"]
    assert route_ready(harness, "young") == ("False", "AddressTaken")
    assert "Service default/m" in harness.condition("Service", "RouteReady", "young")["message"]
    assert harness.condition("Service", "Stalled", "young")["status"] == "True"
    await harness.stop()
    await harness.start()  # another process decides in the same way
    await harness.play(seconds=10)
    assert routes(harness) == ["m"]
    harness.cluster.remove(SERVICES, "default", "m")
    await harness.play(seconds=10)
    assert routes(harness) == ["young"]
    await harness.stop()


async def test_host_that_the_platform_does_not_allow_gets_no_route() -> None:
    harness = await started()
    harness.change("Service", route={"host": "bank.example.com"})
    await harness.play(seconds=10)
    assert routes(harness) == []
    assert route_ready(harness) == ("False", "AddressNotAllowed")
    assert harness.summary("Service")[1:] == ("Succeeded", "RouteNotReady")
    assert harness.condition("Service", "Stalled")["status"] == "True"
    await harness.stop()


async def test_new_address_is_a_version_and_rolls_no_pods() -> None:
    harness = await started()
    report(harness)
    await harness.play(seconds=10)
    template = harness.cluster.at(DEPLOYMENTS, "m")["spec"]["template"]
    harness.change("Service", route={"path": "/v2"})
    await harness.play(seconds=3)
    assert harness.summary("Service") == ("m:2", "Running", "RouteNotReady")
    assert harness.cluster.at(DEPLOYMENTS, "m")["spec"]["template"] == template
    report(harness, generation=2)
    await harness.play(seconds=3)
    assert harness.summary("Service") == ("m:2", "Succeeded", "Serving")
    assert harness.status("Service")["scoringUri"] == f"https://{HOST}/v2/score"
    await harness.stop()


INGRESS: Final = {"kind": "Ingress", "ingress": {"tlsSecret": "{service}-tls"}}


async def test_ingress_needs_an_address_and_its_certificate() -> None:
    harness = await started(settings(**INGRESS))
    assert harness.summary("Service")[1:] == ("Running", "RouteNotReady")
    balancer = {"loadBalancer": {"ingress": [{"ip": "192.0.2.1"}]}}
    harness.cluster.change(INGRESSES, "default", "m", {"status": balancer}, "status")
    await harness.play(seconds=10)
    assert route_ready(harness) == ("False", "CertificateMissing")
    assert "Secret m-tls" in harness.condition("Service", "RouteReady")["message"]
    harness.cluster.put(SECRETS, "default", {"metadata": {"name": "m-tls"}, "type": "kubernetes.io/tls"})
    await harness.play(seconds=60)
    assert route_ready(harness) == ("True", "RouteProgrammed")
    assert harness.status("Service")["url"] == f"https://{HOST}"
    before = len(harness.cluster.calls)
    harness.cluster.change(INGRESSES, "default", "m", {"metadata": {"labels": {"x": "y"}}})
    await harness.play(seconds=60)
    assert "secrets" not in {call.resource for call in harness.cluster.calls[before:]}
    await harness.stop()


async def test_end_of_a_rollout_reads_the_certificate_once() -> None:
    harness = OperatorHarness(settings(**INGRESS))
    harness.serves = False
    await harness.start()
    harness.apply(*sample_objects())
    await harness.play(seconds=3)
    balancer = {"loadBalancer": {"ingress": [{"ip": "192.0.2.1"}]}}
    harness.cluster.change(INGRESSES, "default", "m", {"status": balancer}, "status")
    await harness.settle()
    before = len(harness.cluster.calls)
    harness.roll("m")
    await harness.settle()
    assert harness.summary("Service") == ("m:1", "Succeeded", "RouteNotReady")
    reads = [call for call in harness.cluster.calls[before:] if call.resource == "secrets"]
    assert reads == [Call("get", "secrets", name="m-tls")]
    await harness.stop()


@pytest.mark.parametrize("point", ["fault", "lost"], ids=["before it takes effect", "after it took effect"])
@pytest.mark.parametrize("verb", ["create", "patch", "delete"])
async def test_operator_killed_at_the_write_of_a_route_ends_in_the_same_state(point: str, verb: str) -> None:
    harness = OperatorHarness(settings())
    harness.cluster.put(GATEWAYS, "infra", gateway())
    killed = []

    def kill(_: int, call: Call) -> None:
        if (call.verb, call.resource) == (verb, "httproutes") and not killed:
            killed.append(call)
            harness.cluster.dead = True
            raise Killed

    setattr(harness.cluster, point, kill)
    for route in (None, {"path": "/v2"}, {"enabled": False}, None):
        for _ in range(2):
            try:
                if harness.cluster.dead or not harness.cluster.calls:
                    await harness.start()
                harness.apply(*sample_objects()[:3], service(**({"route": route} if route else {})))
                await harness.play(seconds=3)
            except Killed:
                await harness.stop()
    assert len(killed) == 1
    assert harness.cluster.at(HTTP_ROUTES, "m")["spec"]["rules"][0]["matches"][0]["path"]["value"] == "/"
    report(harness)
    await harness.play(seconds=10)
    assert harness.status("Service")["url"] == f"https://{HOST}"
    await harness.stop()


async def test_idle_operator_with_routes_writes_nothing_after_a_start() -> None:
    harness = await started()
    report(harness)
    await harness.play(seconds=10)
    await harness.stop()
    before, calls = len(harness.cluster.writes), len(harness.cluster.calls)
    await harness.start()
    await harness.play(seconds=100)
    assert harness.cluster.writes[before:] == []
    assert ("get", "httproutes") not in {(call.verb, call.resource) for call in harness.cluster.calls[calls:]}
    await harness.stop()
