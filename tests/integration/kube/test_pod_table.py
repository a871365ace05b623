"""Restarts of pods in the table of a real API server."""

from __future__ import annotations

import datetime as dt
import uuid
from collections.abc import AsyncIterator, Iterator

import pytest
from tests.support.cluster import Json, Kubectl

from modelyard.api import labels
from modelyard.controller.pod_sweep import Restarts, read_restarts
from modelyard.kube.client import TABLE, Client
from modelyard.kube.kubeconfig import connect
from modelyard.kube.types import PODS


@pytest.fixture
async def client(kubeconfig: object) -> AsyncIterator[Client]:
    client = await connect()
    yield client
    await client.close()


@pytest.fixture
def kubectl(kubeconfig: object) -> Iterator[Kubectl]:
    """Kubectl in a namespace of its own."""
    kubectl = Kubectl(f"table-{uuid.uuid4().hex[:8]}")
    kubectl("create", "namespace", kubectl.namespace)
    yield kubectl
    kubectl("delete", "namespace", kubectl.namespace, "--wait=false")


async def put_pod(client: Client, namespace: str, name: str, restarts: int, age: dt.timedelta) -> None:
    """Create a pod that no node runs, with the status of a pod whose last run ended some time ago."""
    body: Json = {
        **PODS.header(),
        "metadata": {"name": name, "labels": labels.labels_of("Service", "m")},
        "spec": {"containers": [{"name": "scoring", "image": "m"}], "nodeSelector": {"none": "such"}},
    }
    await client.create(PODS, namespace, body)
    finished = (dt.datetime.now(dt.UTC) - age).strftime("%Y-%m-%dT%H:%M:%SZ")
    last = {"terminated": {"exitCode": 137, "reason": "OOMKilled", "finishedAt": finished}}
    container = {"name": "scoring", "image": "m", "imageID": "", "ready": True, "restartCount": restarts}
    status = {"containerStatuses": [container | ({"lastState": last} if restarts else {})]}
    await client.patch(PODS, namespace, name, {"status": status}, "status")


async def test_rows_have_the_restarts_of_a_pod_and_the_time_of_the_last_one(
    client: Client, kubectl: Kubectl
) -> None:
    await put_pod(client, kubectl.namespace, "steady", 0, dt.timedelta())
    await put_pod(client, kubectl.namespace, "restarted", 1, dt.timedelta(seconds=1))
    await put_pod(client, kubectl.namespace, "minutes", 2, dt.timedelta(minutes=90))
    await put_pod(client, kubectl.namespace, "hours", 3, dt.timedelta(hours=20))
    await put_pod(client, kubectl.namespace, "days", 12, dt.timedelta(days=3))
    query = {"labelSelector": labels.SELECTOR, "includeObject": "None"}
    pages = client.pages(PODS, kubectl.namespace, accept=TABLE, **query)
    rows = [row async for page in pages for row in page.items]
    assert {row["Name"]: read_restarts(row) for row in rows} == {
        "steady": None,
        "restarted": Restarts(1, is_recent=True),
        "minutes": Restarts(2, is_recent=True),
        "hours": Restarts(3, is_recent=False),
        "days": Restarts(12, is_recent=False),
    }
