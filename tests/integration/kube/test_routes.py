"""Routes of Services in a real cluster, with the Gateway API and the data plane of `make cluster`."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator
from typing import Any, Final

import pytest
from tests.support.cluster import Kubectl

from modelyard.api.owners import Owner
from modelyard.kube.client import Client
from modelyard.kube.kubeconfig import connect
from modelyard.kube.merge import changes
from modelyard.kube.types import CORE_SERVICES, GATEWAYS, HTTP_ROUTES, INGRESSES, ApiResource, Json
from modelyard.reconcile.routes.gateway import Gateway, Listener
from modelyard.reconcile.routes.route_status import RouteStatus
from modelyard.resources import routing, serving
from modelyard.resources.routing import Address
from modelyard.settings import RoutingSettings

OWNER: Final = Owner("Service", "m", "00000000-0000-0000-0000-000000000000")
GATEWAY: Final = {"namespace": "traefik", "name": "public", "sectionName": "https"}
TIMEOUT_SECONDS: Final = 60.0


def settings(**fields: Any) -> RoutingSettings:
    usual = {"kind": "HTTPRoute", "host": "{service}.example.com", "gateway": GATEWAY}
    return RoutingSettings.model_validate(usual | fields)


def without_owner(body: Json) -> Json:
    """Return a child without its owner reference: the garbage collector deletes children of absent owners."""
    del body["metadata"]["ownerReferences"]
    return body


@pytest.fixture
async def client(kubeconfig: object) -> AsyncIterator[Client]:
    client = await connect()
    yield client
    await client.close()


@pytest.fixture
async def namespace(client: Client) -> AsyncIterator[str]:
    """A namespace with the core Service of a Service."""
    kubectl = Kubectl(f"route-{uuid.uuid4().hex[:8]}")
    kubectl("create", "namespace", kubectl.namespace)
    await client.create(CORE_SERVICES, kubectl.namespace, without_owner(serving.core_service(OWNER)))
    yield kubectl.namespace
    kubectl("delete", "namespace", kubectl.namespace, "--wait=false")


async def reported(
    client: Client, resource: ApiResource, namespace: str, generation: int = 1, reason: str = ""
) -> Json:
    """Return a route on whose generation the data plane has reported a reason, by default that it serves.

    A data plane may read a route before its core Service, and then refuses it for a moment.
    """
    async with asyncio.timeout(TIMEOUT_SECONDS):
        while True:
            live = await client.get(resource, namespace, "m")
            status = RouteStatus.read(live)
            is_present = live["metadata"]["generation"] == generation and status.reported
            if is_present and status.reason == reason:
                return live
            await asyncio.sleep(0.05)


async def test_gateway_of_the_cluster_serves_https(client: Client) -> None:
    live = await client.get(GATEWAYS, GATEWAY["namespace"], GATEWAY["name"])
    gateway = Gateway.read(live)
    listener = gateway.listener_for("m.example.com", GATEWAY["sectionName"])
    assert isinstance(listener, Listener), listener
    assert (gateway.problem, listener.problem, listener.scheme) == (None, None, "https")
    assert listener.port == live["spec"]["listeners"][0]["port"]


async def test_data_plane_accepts_http_routes_and_defaults_cause_no_patch(
    client: Client, namespace: str
) -> None:
    for generation, address in enumerate(
        (Address(f"{namespace}.example.com", "/"), Address("example.com", f"/{namespace}/m")), 1
    ):
        desired = without_owner(routing.http_route(OWNER, address, settings()))
        if generation == 1:
            await client.create(HTTP_ROUTES, namespace, desired)
        else:
            await client.patch(HTTP_ROUTES, namespace, "m", {"spec": desired["spec"]})
        live = await reported(client, HTTP_ROUTES, namespace, generation)
        assert changes(live, desired) == {}


async def test_refusal_of_an_http_route_is_read(client: Client, namespace: str) -> None:
    desired = without_owner(routing.http_route(OWNER, Address(f"{namespace}.example.com", "/"), settings()))
    desired["spec"]["parentRefs"][0]["sectionName"] = "absent"
    await client.create(HTTP_ROUTES, namespace, desired)
    live = await reported(client, HTTP_ROUTES, namespace, reason="NoMatchingParent")
    assert RouteStatus.read(live).message


async def test_data_plane_gives_an_ingress_its_address(client: Client, namespace: str) -> None:
    ingress = {"className": "traefik", "annotations": {"example.com/a": "b"}}
    desired = without_owner(
        routing.ingress(OWNER, namespace, Address(f"{namespace}.example.com", "/"), settings(ingress=ingress))
    )
    await client.create(INGRESSES, namespace, desired)
    live = await reported(client, INGRESSES, namespace)
    assert changes(live, desired) == {}
