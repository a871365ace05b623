"""Public address of a Service, and the builders of its HTTPRoute and its Ingress.

HTTPRoute: https://gateway-api.sigs.k8s.io/reference/spec/#httproute
"""

from __future__ import annotations

from typing import Final, NamedTuple

from modelyard.api.owners import Owner
from modelyard.api.route import Route, is_host, is_route_path
from modelyard.kube.types import HTTP_ROUTES, INGRESSES, ApiResource, Json
from modelyard.resources.revision import metadata
from modelyard.scoring.contract import PREFIX_HEADER
from modelyard.settings import NAMESPACE_PLACE, SERVICE_PLACE, RoutingSettings

WHOLE_HOST: Final = "/"
_DEFAULT_PORTS: Final = {"http": 80, "https": 443}
_RESOURCES: Final = {"HTTPRoute": HTTP_ROUTES, "Ingress": INGRESSES}
_CORE_PORT: Final = 80


class Address(NamedTuple):
    """Host and path prefix that belong to one Service."""

    host: str
    path: str  # begins with a slash and, except for `/`, ends without one

    def __str__(self) -> str:
        """Return the address without scheme and port, as in messages."""
        return self.host if self.path == WHOLE_HOST else f"{self.host}{self.path}"

    def url(self, scheme: str, port: int) -> str:
        """Return the URL without a slash at its end; the default port of the scheme is left out."""
        suffix = "" if port in {0, _DEFAULT_PORTS[scheme]} else f":{port}"
        return f"{scheme}://{self.host}{suffix}{'' if self.path == WHOLE_HOST else self.path}"


class AddressProblem(NamedTuple):
    """Reason, in one CamelCase word, and message why a Service gets no address."""

    reason: str
    message: str


def route_resource(routing: RoutingSettings) -> ApiResource | None:
    """Return the resource of the routes of Services, None if the platform publishes none."""
    return _RESOURCES.get(routing.kind)


def public_address(
    route: Route, namespace: str, name: str, routing: RoutingSettings
) -> Address | AddressProblem:
    """Return the address of a Service, or the problem of the host or path that its spec names."""
    usual_host = _rendered(routing.host, namespace, name).lower()
    usual = Address(usual_host, _rendered(routing.path, namespace, name))
    host = route.host or usual.host
    path = route.path or (usual.path if host == usual.host else WHOLE_HOST)
    if not is_host(host) or not is_route_path(path):
        message = f"{host}{path} is no valid address: set spec.route.host, or correct routing of the chart"
        return AddressProblem("AddressInvalid", message)
    if routing.kind == "Ingress" and path != WHOLE_HOST:
        message = "spec.route.path: an Ingress cannot remove a path prefix. Remove the field, or set it to /"
        return AddressProblem("PathNotSupported", message)
    address = Address(host, path)
    if address == usual or _may_take(host, namespace, routing):
        return address
    if host == usual.host and NAMESPACE_PLACE in routing.host:
        return address  # the host belongs to the namespace, with all paths
    field = "host" if host != usual.host else "path"
    message = (
        f"spec.route.{field}: Services of the namespace {namespace} may not take {address}. routing.hosts of"
        " the chart lists the hosts and their namespaces"
    )
    return AddressProblem("AddressNotAllowed", message)


def _rendered(template: str, namespace: str, name: str) -> str:
    return template.replace(SERVICE_PLACE, name).replace(NAMESPACE_PLACE, namespace)


def _may_take(host: str, namespace: str, routing: RoutingSettings) -> bool:
    """Return whether the platform lists a host, or a domain above it, for a namespace."""
    return any(
        host.endswith(pattern[1:]) if pattern.startswith("*.") else host == pattern
        for pattern in routing.hosts_for(namespace)
    )


def http_route(owner: Owner, address: Address, routing: RoutingSettings) -> Json:
    """Return the HTTPRoute that sends all requests of an address to the core Service."""
    gateway = routing.gateway
    parent = {"name": gateway.name, "namespace": gateway.namespace}
    if gateway.section_name:
        parent["sectionName"] = gateway.section_name
    rule: Json = {
        "matches": [{"path": {"type": "PathPrefix", "value": address.path}}],
        "backendRefs": [{"name": owner.name, "port": _CORE_PORT}],
    }
    if address.path != WHOLE_HOST:
        rule["filters"] = _prefix_filters(address.path)
    if routing.request_timeout:
        rule["timeouts"] = {"request": routing.request_timeout}
    return {
        **HTTP_ROUTES.header(),
        "metadata": metadata(owner, owner.name),
        "spec": {"parentRefs": [parent], "hostnames": [address.host], "rules": [rule]},
    }


def _prefix_filters(path: str) -> list[Json]:
    """Return the filters that remove a prefix from the path, and send it in a header.

    The OpenAPI document of the pods has the prefix of the header.
    """
    return [
        {
            "type": "URLRewrite",
            "urlRewrite": {"path": {"type": "ReplacePrefixMatch", "replacePrefixMatch": "/"}},
        },
        {
            "type": "RequestHeaderModifier",
            "requestHeaderModifier": {"set": [{"name": PREFIX_HEADER, "value": path}]},
        },
    ]


def ingress(owner: Owner, namespace: str, address: Address, routing: RoutingSettings) -> Json:
    """Return the Ingress that sends all requests of a host to the core Service."""
    settings = routing.ingress
    backend = {"service": {"name": owner.name, "port": {"number": _CORE_PORT}}}
    spec: Json = {
        "rules": [
            {
                "host": address.host,
                "http": {"paths": [{"path": address.path, "pathType": "Prefix", "backend": backend}]},
            }
        ]
    }
    if settings.class_name:
        spec["ingressClassName"] = settings.class_name
    if settings.tls:
        secret = tls_secret(owner.name, namespace, routing)
        spec["tls"] = [{"hosts": [address.host], **({"secretName": secret} if secret else {})}]
    body = metadata(owner, owner.name)
    if settings.annotations:
        body["annotations"] = dict(settings.annotations)
    return {**INGRESSES.header(), "metadata": body, "spec": spec}


def tls_secret(name: str, namespace: str, routing: RoutingSettings) -> str:
    """Return the name of the Secret with the certificate of a Service, empty for the controller's own."""
    settings = routing.ingress
    return _rendered(settings.tls_secret, namespace, name) if settings.tls else ""
