"""EndpointSlices: ports of the activator, replicas, and slices of others."""

from __future__ import annotations

from typing import Any

import pytest
from tests.unit.activator.rig import NAME, NAMESPACE, activator_slice, replica_slice

from modelyard.activator.endpoints import (
    ActivatorPort,
    Address,
    Replicas,
    ServiceKey,
    port_owners,
    read_slice,
)

SERVICE = ServiceKey(NAMESPACE, NAME)


def test_slice_of_the_scaler_is_a_port() -> None:
    assert read_slice(activator_slice(20017, created="t")) == ActivatorPort(SERVICE, 20017, True, "t")
    assert read_slice(activator_slice(20017, wakes=False)) == ActivatorPort(SERVICE, 20017, False, "")


def test_other_slice_has_replicas_also_before_they_are_ready() -> None:
    found = read_slice(replica_slice(5001, host="10.0.0.7"))
    assert found == Replicas(SERVICE, frozenset({Address("10.0.0.7", 5001)}))
    assert read_slice(replica_slice(5001, terminating=True)) == Replicas(SERVICE, frozenset())


@pytest.mark.parametrize(
    "change",
    [
        {"ports": None},
        {"ports": [{"name": "metrics", "port": 20001}]},
        {"ports": [{"name": "http", "port": 80}]},
        {"ports": [{"name": "http"}]},
        {"addressType": "FQDN"},
    ],
)
def test_slice_without_a_port_of_the_activator_is_ignored(change: dict[str, Any]) -> None:
    assert read_slice(activator_slice(20001) | change) is None


def test_slice_without_service_or_endpoints_is_harmless() -> None:
    body = replica_slice(5001) | {"endpoints": None}
    assert read_slice(body) == Replicas(SERVICE, frozenset())
    assert read_slice({"metadata": {"name": "x"}, "addressType": "IPv4"}) is None


def test_oldest_slice_owns_a_port() -> None:
    old, new = (
        ActivatorPort(SERVICE, 20001, True, "2026-01-01"),
        ActivatorPort(SERVICE, 20001, True, "2026-01-02"),
    )
    assert port_owners({ServiceKey("a", "new"): new, ServiceKey("z", "old"): old}) == {20001: old}
    other = new._replace(created="2026-01-01", service=ServiceKey("b", "b"))
    assert port_owners({ServiceKey("z", "z"): old, ServiceKey("b", "b"): other}) == {20001: other}
