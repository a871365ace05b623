"""Errors that a real API server returns, as the Kubernetes client raises them."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from typing import Final

import pytest
from tests.support.cluster import Kubectl, eventually

from modelyard.kube.errors import NamespaceTerminating
from modelyard.kube.kubeconfig import connect
from modelyard.kube.types import SECRETS, Json

FINALIZED: Final[Json] = {
    "apiVersion": "v1",
    "kind": "ConfigMap",
    "metadata": {"name": "finalized", "finalizers": ["example.com/test"]},
}


@pytest.fixture
def terminating(kubeconfig: object) -> Iterator[Kubectl]:
    """Kubectl in a namespace that a finalizer keeps in the phase Terminating until the test ends."""
    kubectl = Kubectl(f"terminating-{uuid.uuid4().hex[:8]}")
    kubectl("create", "namespace", kubectl.namespace)
    kubectl.apply(FINALIZED)
    kubectl("delete", "namespace", kubectl.namespace, "--wait=false")
    eventually(lambda: _phase(kubectl) == "Terminating", 60, "the namespace is Terminating")
    yield kubectl
    kubectl.patch("configmap", "finalized", {"metadata": {"finalizers": None}})


def _phase(kubectl: Kubectl) -> str:
    phase: str = kubectl.get("namespace", kubectl.namespace)["status"]["phase"]
    return phase


async def test_creation_in_a_terminating_namespace_is_rejected(terminating: Kubectl) -> None:
    client = await connect()
    try:
        with pytest.raises(NamespaceTerminating, match="being terminated"):
            await client.create(
                SECRETS, terminating.namespace, SECRETS.header() | {"metadata": {"name": "late"}}
            )
    finally:
        await client.close()
