"""Settings of the public addresses of Services."""

from __future__ import annotations

from typing import Annotated, Final, Literal, Self

from pydantic import Field, model_validator

from modelyard.settings.readers import offered
from modelyard.settings.section import Section

SERVICE_PLACE: Final = "{service}"
NAMESPACE_PLACE: Final = "{namespace}"
"""The parts of the templates of hosts and paths."""


class GatewayReference(Section):
    """The Gateway (gateway.networking.k8s.io) that the HTTPRoutes of Services attach to."""

    name: str = ""
    namespace: str = ""
    section_name: str = ""  # name of a listener; empty: each listener that accepts the host


class IngressSettings(Section):
    """Settings of the Ingresses of Services."""

    class_name: str = ""  # empty: the default class of the cluster
    annotations: dict[str, str] = Field(default_factory=dict)  # such as those of cert-manager
    tls: bool = True  # whether the ingress controller ends TLS
    # Secret with the certificate, in the namespace of the Service; may contain {service} and {namespace}.
    # Empty: the default certificate of the ingress controller.
    tls_secret: str = ""


class RoutingSettings(Section):
    """Public addresses of Services. The templates may contain {service} and {namespace}."""

    kind: Literal["", "HTTPRoute", "Ingress"] = ""  # empty: no routes, no watches, no rights
    enabled: bool = True  # for Services without spec.route.enabled
    host: str = ""
    path: str = "/"
    # host, or *.domain → namespaces whose Services may name it in spec.route.host
    hosts: dict[str, tuple[str, ...]] = Field(default_factory=dict)
    scheme: Literal["", "http", "https"] = ""  # empty: that of the listener, or of the Ingress
    port: Annotated[int, Field(ge=0, le=65535)] = 0  # 0: that of the listener
    request_timeout: str = "0s"  # timeouts.request of HTTPRoutes; 0s: no timeout; empty: no field
    gateway: GatewayReference = GatewayReference()
    ingress: IngressSettings = IngressSettings()

    @model_validator(mode="after")
    def _require_parts(self) -> Self:
        if not self.kind:
            return self
        if not self.host or SERVICE_PLACE not in self.host + self.path:
            raise ValueError(f"routing: host is required, and host or path must contain {SERVICE_PLACE}")
        if self.kind == "HTTPRoute" and not (self.gateway.name and self.gateway.namespace):
            raise ValueError("routing.gateway: name and namespace of the Gateway are required")
        if self.kind == "Ingress" and self.path != "/":
            raise ValueError("routing.path: an Ingress cannot remove a path prefix; set routing.host instead")
        return self

    def hosts_for(self, namespace: str) -> tuple[str, ...]:
        """Return the hosts, and the domains as `*.domain`, that Services of a namespace may name."""
        return offered(self.hosts, namespace)
