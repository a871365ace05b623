"""EndpointSlices: ports of the activator, replicas, and slices of others."""

from __future__ import annotations

from typing import Any

import pytest
from tests.unit.activator.rig import NAME, NAMESPACE, activator_slice, replica_slice

from modelyard.api import labels
from modelyard.api.endpoint_slices import (
    ActivatorSlice,
    Address,
    Replicas,
    ServiceKey,
    StrangeSlice,
    port_owner,
    read_slice,
)
from modelyard.api.endpoint_slices import activator_slice as activator_slice_of
from modelyard.api.owners import Owner

SERVICE = ServiceKey(NAMESPACE, NAME)
HOSTS = frozenset({("10.0.0.1", True)})


def test_slice_of_the_scaler_is_a_port() -> None:
    assert read_slice(activator_slice(20017, created="t")) == ActivatorSlice(SERVICE, 20017, True, "t", HOSTS)
    assert read_slice(activator_slice(20017, wakes=False)) == ActivatorSlice(SERVICE, 20017, False, "", HOSTS)


def test_slice_of_kubernetes_has_replicas_also_before_they_are_ready() -> None:
    found = read_slice(replica_slice(5001, host="10.0.0.7"))
    assert found == Replicas(SERVICE, frozenset({Address("10.0.0.7", 5001)}), frozenset())
    assert read_slice(replica_slice(5001, terminating=True)) == Replicas(SERVICE, frozenset(), frozenset())


@pytest.mark.parametrize(
    "change",
    [
        {"ports": None},
        {"ports": [{"name": "metrics", "port": 20001}]},
        {"addressType": "FQDN"},
    ],
)
def test_slice_without_a_port_of_the_activator_is_ignored(change: dict[str, Any]) -> None:
    assert read_slice(activator_slice(20001) | change) is None


@pytest.mark.parametrize("ports", [[{"name": "http", "port": 80}], [{"name": "http"}]])
def test_slice_of_the_scaler_with_another_port_is_strange(ports: list[dict[str, Any]]) -> None:
    body = activator_slice(20001) | {"ports": ports}
    assert read_slice(body) == StrangeSlice(SERVICE, f"{NAME}-activator")


@pytest.mark.parametrize("manager", [None, "somebody", "modelyard-scaler"])
def test_slice_of_somebody_else_has_no_replicas(manager: str | None) -> None:
    body = replica_slice(5001)
    del body["metadata"]["labels"][labels.SLICE_MANAGED_BY]
    if manager:
        body["metadata"]["labels"][labels.SLICE_MANAGED_BY] = manager
    assert read_slice(body) == StrangeSlice(SERVICE, body["metadata"]["name"])


def test_slice_without_service_or_endpoints_is_harmless() -> None:
    body = replica_slice(5001) | {"endpoints": None}
    assert read_slice(body) == Replicas(SERVICE, frozenset(), frozenset())
    assert read_slice({"metadata": {"name": "x"}, "addressType": "IPv4"}) is None


def test_oldest_slice_owns_a_port() -> None:
    old, new = (
        ActivatorSlice(SERVICE, 20001, True, "2026-01-01"),
        ActivatorSlice(SERVICE, 20001, True, "2026-01-02"),
    )
    assert port_owner({ServiceKey("a", "new"): new, ServiceKey("z", "old"): old}) == old
    other = new._replace(created="2026-01-01", service=ServiceKey("b", "b"))
    assert port_owner({ServiceKey("z", "z"): old, ServiceKey("b", "b"): other}) == other
    assert port_owner({}) is None


def test_written_slice_reads_back() -> None:
    owner = Owner("Service", "m", "u1")
    body = activator_slice_of(owner, 20003, {"10.0.0.2": False, "10.0.0.1": True}, wakes=False)
    body["metadata"] |= {"namespace": "team", "creationTimestamp": "t", "resourceVersion": "9"}
    hosts = frozenset({("10.0.0.2", False), ("10.0.0.1", True)})
    assert read_slice(body) == ActivatorSlice(ServiceKey("team", "m"), 20003, False, "t", hosts, "9")
    assert body["metadata"]["ownerReferences"][0]["uid"] == "u1"
    six = activator_slice_of(owner, 20003, {"fd00::1": True, "10.0.0.1": True}, wakes=True)
    assert (six["addressType"], [one["addresses"] for one in six["endpoints"]]) == ("IPv6", [["fd00::1"]])
