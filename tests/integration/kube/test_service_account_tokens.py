"""Tokens of ServiceAccounts from a real API server, with the rights that the chart gives the operator."""

from __future__ import annotations

import base64
import json
import time
from collections.abc import AsyncIterator, Iterator
from typing import Any, Final

import pytest
from kubernetes.aio import config
from kubernetes.aio.client import Configuration
from tests.support.cluster import Kubectl
from tests.unit.chart_rights import rights

from modelyard.kube.client import Client
from modelyard.kube.config import ServerConfig
from modelyard.kube.errors import Forbidden, NotFound
from modelyard.kube.pyreqwest_transport import PyreqwestTransport
from modelyard.kube.types import SERVICE_ACCOUNTS

AUDIENCE: Final = "sts.amazonaws.com"


@pytest.fixture
async def anonymous(kubeconfig: object) -> AsyncIterator[Client]:
    """A client without credentials, not even a certificate, which would count before a token."""
    found = Configuration()
    await config.load_kube_config(client_configuration=found)
    server = ServerConfig(found.host, found.ssl_ca_cert, verify_tls=found.verify_ssl)
    client = Client(PyreqwestTransport(server, user_agent="test"))
    yield client
    await client.close()


@pytest.fixture
def kubectl(kubeconfig: object, namespace: str) -> Iterator[Kubectl]:
    """Kubectl in a namespace with the ServiceAccounts `reader` and, with the chart's rights, `operator`."""
    kubectl = Kubectl(namespace)
    for name in ("reader", "operator", "other"):
        kubectl("create", "serviceaccount", name)
    wanted = [right for right in rights(own_namespace=False) if right.resource.startswith("serviceaccounts")]
    rules = [
        {"apiGroups": [""], "resources": [right.resource], "verbs": [right.verb]} for right in sorted(wanted)
    ]
    role = {"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "Role", "metadata": {"name": "operator"}}
    kubectl.apply(role | {"rules": rules})
    user = f"--serviceaccount={namespace}:operator"
    kubectl("create", "rolebinding", "operator", "--role=operator", user)
    yield kubectl


def claims(token: str) -> dict[str, Any]:
    """Return the claims of a JWT."""
    payload = token.split(".")[1]
    return json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))


async def test_token_has_one_audience_and_a_short_life(anonymous: Client, kubectl: Kubectl) -> None:
    operator = anonymous.with_token(kubectl("create", "token", "operator").strip())
    account = await operator.get(SERVICE_ACCOUNTS, kubectl.namespace, "reader")
    assert account["metadata"]["name"] == "reader"
    token = await operator.create_token(kubectl.namespace, "reader", AUDIENCE, 1800)
    found = claims(token)
    assert found["aud"] == [AUDIENCE]
    assert found["sub"] == f"system:serviceaccount:{kubectl.namespace}:reader"
    assert 1700 <= found["exp"] - time.time() <= 1900
    with pytest.raises(Forbidden):
        await anonymous.with_token(token).get(SERVICE_ACCOUNTS, kubectl.namespace, "reader")


async def test_token_needs_the_right_and_the_account(anonymous: Client, kubectl: Kubectl) -> None:
    other = anonymous.with_token(kubectl("create", "token", "other").strip())
    with pytest.raises(Forbidden):
        await other.create_token(kubectl.namespace, "reader", AUDIENCE, 600)
    operator = anonymous.with_token(kubectl("create", "token", "operator").strip())
    with pytest.raises(NotFound):
        await operator.create_token(kubectl.namespace, "absent", AUDIENCE, 600)
    with pytest.raises(Forbidden):
        await operator.create_token("kube-system", "default", AUDIENCE, 600)
