"""Addresses of Services, and the builders of their routes."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from modelyard.api.owners import Owner
from modelyard.api.route import Route
from modelyard.resources import routing
from modelyard.resources.routing import Address, AddressProblem
from modelyard.settings import RoutingSettings

OWNER = Owner("Service", "fraud", "u1")
PER_HOST = {"host": "{service}.{namespace}.models.example.com"}
PER_PATH = {"host": "models.example.com", "path": "/{namespace}/{service}"}


def settings(**fields: Any) -> RoutingSettings:
    usual = {"kind": "HTTPRoute", "gateway": {"name": "public", "namespace": "infra"}}
    return RoutingSettings.model_validate(usual | fields)


def address(values: RoutingSettings, namespace: str = "team-a", **route: Any) -> Address | AddressProblem:
    return routing.public_address(Route.model_validate(route), namespace, "fraud", values)


def test_templates_make_one_host_or_one_path_for_each_service() -> None:
    assert address(settings(**PER_HOST)) == Address("fraud.team-a.models.example.com", "/")
    assert address(settings(**PER_PATH)) == Address("models.example.com", "/team-a/fraud")


@pytest.mark.parametrize(
    ("values", "route", "expected"),
    [
        (PER_HOST, {"host": "fraud.example.com"}, "AddressNotAllowed"),
        (
            PER_HOST | {"hosts": {"fraud.example.com": ["team-b"]}},
            {"host": "fraud.example.com"},
            "AddressNotAllowed",
        ),
        (
            PER_HOST | {"hosts": {"fraud.example.com": ["team-a"]}},
            {"host": "fraud.example.com"},
            "fraud.example.com",
        ),
        (PER_HOST | {"hosts": {"*.example.com": ["*"]}}, {"host": "a.b.example.com"}, "a.b.example.com"),
        (PER_HOST | {"hosts": {"*.example.com": ["*"]}}, {"host": "example.com"}, "AddressNotAllowed"),
        (PER_HOST | {"hosts": {"*.example.com": ["*"]}}, {"host": "evilexample.com"}, "AddressNotAllowed"),
        # The host of the template has the namespace in it, so all its paths belong to the namespace.
        (PER_HOST, {"path": "/v2"}, "fraud.team-a.models.example.com/v2"),
        # A host of several namespaces: one could take the path of another one's Service.
        (PER_PATH, {"path": "/team-b/fraud"}, "AddressNotAllowed"),
        (PER_PATH, {"path": "/"}, "AddressNotAllowed"),
        (PER_PATH | {"hosts": {"x.example.com": ["team-a"]}}, {"host": "x.example.com"}, "x.example.com"),
        ({"kind": "Ingress", **PER_HOST}, {"path": "/v2"}, "PathNotSupported"),
        ({"host": "{service}-{namespace}-" + 60 * "x" + ".example.com"}, {}, "AddressInvalid"),
    ],
)
def test_services_take_only_hosts_and_paths_of_their_namespace(
    values: dict[str, Any], route: dict[str, Any], expected: str
) -> None:
    found = address(settings(**values), **route)
    assert (found.reason if isinstance(found, AddressProblem) else str(found)) == expected


def test_url_has_the_port_unless_it_is_that_of_the_scheme() -> None:
    whole, below = Address("h.example.com", "/"), Address("h.example.com", "/a/b")
    assert whole.url("https", 443) == "https://h.example.com"
    assert whole.url("https", 8443) == "https://h.example.com:8443"
    assert below.url("http", 80) == "http://h.example.com/a/b"
    assert below.url("https", 80) == "https://h.example.com:80/a/b"


def test_http_route_of_a_host_leaves_the_path_as_it_is() -> None:
    body = routing.http_route(OWNER, Address("f.example.com", "/"), settings(**PER_HOST))
    assert body["spec"] == {
        "parentRefs": [{"name": "public", "namespace": "infra"}],
        "hostnames": ["f.example.com"],
        "rules": [
            {
                "matches": [{"path": {"type": "PathPrefix", "value": "/"}}],
                "backendRefs": [{"name": "fraud", "port": 80}],
                "timeouts": {"request": "0s"},
            }
        ],
    }
    assert body["metadata"]["ownerReferences"][0]["uid"] == "u1"


def test_http_route_of_a_path_removes_the_prefix_and_names_it_in_a_header() -> None:
    values = settings(
        **PER_PATH, request_timeout="", gateway={"name": "g", "namespace": "n", "sectionName": "s"}
    )
    spec = routing.http_route(OWNER, Address("models.example.com", "/team-a/fraud"), values)["spec"]
    rewrite, header = spec["rules"][0]["filters"]
    assert rewrite["urlRewrite"]["path"] == {"type": "ReplacePrefixMatch", "replacePrefixMatch": "/"}
    assert header["requestHeaderModifier"]["set"] == [
        {"name": "X-Forwarded-Prefix", "value": "/team-a/fraud"}
    ]
    assert "timeouts" not in spec["rules"][0]
    assert spec["parentRefs"][0]["sectionName"] == "s"


def test_ingress_has_class_annotations_and_certificate_of_the_settings() -> None:
    ingress = {"className": "nginx", "annotations": {"a": "b"}, "tlsSecret": "{service}-tls"}
    body = routing.ingress(OWNER, "n", Address("f.example.com", "/"), settings(**PER_HOST, ingress=ingress))
    assert body["metadata"]["annotations"] == {"a": "b"}
    assert body["spec"]["ingressClassName"] == "nginx"
    assert body["spec"]["tls"] == [{"hosts": ["f.example.com"], "secretName": "fraud-tls"}]
    (path,) = body["spec"]["rules"][0]["http"]["paths"]
    assert path["backend"] == {"service": {"name": "fraud", "port": {"number": 80}}}


def test_ingress_without_secret_or_without_tls() -> None:
    at = Address("f.example.com", "/")
    default = routing.ingress(OWNER, "n", at, settings(**PER_HOST))["spec"]
    assert default["tls"] == [{"hosts": ["f.example.com"]}]
    assert "ingressClassName" not in default
    assert "tls" not in routing.ingress(OWNER, "n", at, settings(**PER_HOST, ingress={"tls": False}))["spec"]


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"host": "models.example.com"}, "must contain {service}"),
        ({"path": "/{service}"}, "host is required"),
        (PER_HOST | {"gateway": {}}, "routing.gateway"),
        ({"kind": "Ingress"} | PER_PATH, "routing.path"),
    ],
)
def test_settings_that_do_not_fit_together_are_refused(values: dict[str, Any], words: str) -> None:
    with pytest.raises(ValidationError, match=words):
        settings(**values)


@pytest.mark.parametrize(
    "path", ["//", "/a/", "a", "/a//b", "/.", "/a/../b", "/a/.b", "/ä", "/a?b", "/a%2Fb"]
)
def test_paths_that_servers_read_differently_are_refused(path: str) -> None:
    with pytest.raises(ValidationError, match=r"route\.path"):
        Route(path=path)


@pytest.mark.parametrize("host", ["*.example.com", "Fraud.example.com", "a..b", "-a.b", "a_b", "10.0.0.1:80"])
def test_hosts_that_are_no_dns_names_are_refused(host: str) -> None:
    with pytest.raises(ValidationError, match=r"route\.host"):
        Route(host=host)
