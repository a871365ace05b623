"""Events of autoscalers and disruption budgets from a real API server, as the cache reads them."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator
from typing import Final

import pytest
from tests.support.cluster import Kubectl

from modelyard.api.owners import Owner
from modelyard.api.service import ServiceSpec
from modelyard.kube.client import Client
from modelyard.kube.kubeconfig import connect
from modelyard.kube.reflector import Reflector
from modelyard.kube.types import AUTOSCALERS, DISRUPTION_BUDGETS, ApiResource, Json
from modelyard.reconcile.cache.children import ChildCache
from modelyard.reconcile.cache.pending_writes import PendingWrites
from modelyard.resources import serving
from modelyard.resources.autoscaling import autoscaler

OWNER: Final = Owner("Service", "m", "00000000-0000-0000-0000-000000000000")
SPEC: Final = ServiceSpec.model_validate(
    {"imageId": "m", "autoScaler": {"autoscaleEnabled": True, "minReplicas": 2, "maxReplicas": 4}}
)
SCALER: Final = autoscaler(OWNER, SPEC, has_requests_metric=True)
TIMEOUT_SECONDS: Final = 10.0


class Watched:
    """A child that a reflector watches as metadata, with a cache and the changes that it reported."""

    def __init__(self, client: Client, resource: ApiResource, namespace: str) -> None:
        self.cache = ChildCache(PendingWrites())
        self.versions: set[str] = set()
        self.deleted = False
        self.resource, self.namespace = resource, namespace
        self.reflector = Reflector(client, resource, self._handle, namespace=namespace, metadata_only=True)

    def _handle(self, resource: ApiResource, body: Json, deleted: bool) -> None:
        self.deleted = deleted
        if not deleted:
            self.cache.put(resource, body, trusted=True)
            self.versions.add(body["metadata"]["resourceVersion"])

    @property
    def in_sync(self) -> bool:
        child = self.cache.get(self.resource, self.namespace, "m")
        assert child
        return child.in_sync

    async def reported(self, written: Json) -> None:
        """Wait for the event of a write."""
        async with asyncio.timeout(TIMEOUT_SECONDS):
            while written["metadata"]["resourceVersion"] not in self.versions:
                await asyncio.sleep(0.02)


@pytest.fixture
async def client(kubeconfig: object) -> AsyncIterator[Client]:
    client = await connect()
    yield client
    await client.close()


@pytest.mark.parametrize(
    ("resource", "body", "spec", "status"),
    [
        (AUTOSCALERS, SCALER, {"maxReplicas": 9}, {"desiredReplicas": 1}),
        (
            DISRUPTION_BUDGETS,
            serving.disruption_budget(OWNER),
            {"maxUnavailable": 9},
            {"currentHealthy": 7},
        ),
    ],
    ids=["autoscaler", "disruption budget"],
)
async def test_events_tell_a_new_spec_from_a_new_status(
    client: Client, resource: ApiResource, body: Json, spec: Json, status: Json
) -> None:
    kubectl = Kubectl(f"child-events-{uuid.uuid4().hex[:8]}")
    kubectl("create", "namespace", kubectl.namespace)
    metadata = {key: value for key, value in body["metadata"].items() if key != "ownerReferences"}
    await client.create(resource, kubectl.namespace, body | {"metadata": metadata})
    watched = Watched(client, resource, kubectl.namespace)
    watching = asyncio.create_task(watched.reflector.run())
    try:
        await asyncio.wait_for(watched.reflector.synced.wait(), TIMEOUT_SECONDS)
        written = await client.patch(resource, kubectl.namespace, "m", {"status": status}, "status")
        await watched.reported(written)
        assert watched.in_sync
        await watched.reported(await client.patch(resource, kubectl.namespace, "m", {"spec": spec}))
        assert not watched.in_sync
        await client.delete(resource, kubectl.namespace, "m")
        async with asyncio.timeout(TIMEOUT_SECONDS):
            while not watched.deleted:
                await asyncio.sleep(0.02)
    finally:
        watching.cancel()
        await asyncio.gather(watching, return_exceptions=True)
        kubectl("delete", "namespace", kubectl.namespace, "--wait=false")
