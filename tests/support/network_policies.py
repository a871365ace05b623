"""Semantics of NetworkPolicy: which pod may connect to which address.

https://kubernetes.io/docs/concepts/services-networking/network-policies/
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

Json = dict[str, Any]


@dataclass(frozen=True)
class Endpoint:
    """A pod, or an address outside of the cluster: without a namespace."""

    address: str
    namespace: str | None = None
    labels: Mapping[str, str] = field(default_factory=dict)
    ports: Mapping[str, int] = field(default_factory=dict)
    """Number of each named port."""

    @staticmethod
    def of_pod(pod: Json, address: str, namespace: str) -> Endpoint:
        """Return the endpoint of a pod or of the template of a pod."""
        ports = {
            port["name"]: port["containerPort"]
            for container in pod["spec"]["containers"]
            for port in container.get("ports", ())
        }
        return Endpoint(address, namespace, pod["metadata"]["labels"], ports)


@dataclass(frozen=True)
class Policies:
    """The NetworkPolicies of a cluster."""

    policies: Iterable[Json]
    blocks_match_pods: bool = True
    """True if an ipBlock includes pods, as in most networks; False as in Cilium."""

    def allow(self, source: Endpoint, target: Endpoint, port: int, protocol: str = "TCP") -> bool:
        """Return whether the egress of the source and the ingress of the target allow a connection."""
        return self._allows("egress", source, target, target, port, protocol) and self._allows(
            "ingress", target, source, target, port, protocol
        )

    def _allows(
        self, direction: str, pod: Endpoint, peer: Endpoint, target: Endpoint, port: int, protocol: str
    ) -> bool:
        selecting = [
            policy
            for policy in self.policies
            if direction.capitalize() in policy["spec"]["policyTypes"]
            and policy["metadata"]["namespace"] == pod.namespace
            and _selects(policy["spec"]["podSelector"], pod.labels)
        ]
        return not selecting or any(
            _has_port(rule, target, port, protocol) and self._has_peer(rule, direction, peer, policy)
            for policy in selecting
            for rule in policy["spec"].get(direction) or ()
        )

    def _has_peer(self, rule: Json, direction: str, peer: Endpoint, policy: Json) -> bool:
        peers = rule.get("to" if direction == "egress" else "from")
        own = policy["metadata"]["namespace"]
        return not peers or any(self._matches(item, peer, own) for item in peers)

    def _matches(self, item: Json, peer: Endpoint, own_namespace: str) -> bool:
        if block := item.get("ipBlock"):
            is_pod = peer.namespace is not None
            return (self.blocks_match_pods or not is_pod) and _contains(block, peer.address)
        if peer.namespace is None:
            return False
        if "namespaceSelector" in item:
            names = {"kubernetes.io/metadata.name": peer.namespace}
            in_namespace = _selects(item["namespaceSelector"], names)
        else:
            in_namespace = peer.namespace == own_namespace
        return in_namespace and _selects(item.get("podSelector", {}), peer.labels)


def _has_port(rule: Json, target: Endpoint, port: int, protocol: str) -> bool:
    ports = rule.get("ports")
    return not ports or any(
        item.get("protocol", "TCP") == protocol
        and target.ports.get(item.get("port"), item.get("port", port)) == port
        for item in ports
    )


def _selects(selector: Json, labels: Mapping[str, str]) -> bool:
    expressions = selector.get("matchExpressions", ())
    assert all(item["operator"] == "Exists" for item in expressions), "other operators are not implemented"
    return selector.get("matchLabels", {}).items() <= labels.items() and all(
        item["key"] in labels for item in expressions
    )


def _contains(block: Json, address: str) -> bool:
    found = ipaddress.ip_address(address)
    inside = found in ipaddress.ip_network(block["cidr"])
    return inside and not any(found in ipaddress.ip_network(item) for item in block.get("except") or ())
