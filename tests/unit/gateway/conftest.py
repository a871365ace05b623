"""The gateway over an operator and an API server in memory."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from tests.unit.gateway.fake_transport import FakeTransport
from tests.unit.operator_harness import OperatorHarness

from modelyard.gateway.api_server import RETRIES
from modelyard.gateway.app import application
from modelyard.gateway.request_context import API_VERSIONS, RESOURCE_GROUP, SUBSCRIPTION
from modelyard.gateway.settings import GatewaySettings
from modelyard.kube.client import Client

ROOT = "http://gateway/api/subscriptions/s/resourceGroups/g/accounts/default"


class Waits:
    """Waits of the gateway that take no time. After `timeout_after` of them a registration times out."""

    def __init__(self) -> None:
        self.timeout_after: int | None = None
        self.seconds: list[float] = []

    async def sleep(self, seconds: float) -> None:
        self.seconds.append(seconds)
        if self.timeout_after is not None and len(self.seconds) > self.timeout_after:
            self.seconds.clear()
            raise TimeoutError
        await asyncio.sleep(0)


class Api:
    """The REST API for the holder of a token, with the operator and the API server behind it."""

    def __init__(self, harness: OperatorHarness, server: FakeTransport):
        self.harness = harness
        self.server = server
        self.waits = Waits()
        self.client = Client(server, retries=RETRIES, sleep=self.waits.sleep)
        app = application(GatewaySettings(insecure=True), self.client, self.waits.sleep)
        self.http = httpx.AsyncClient(transport=httpx.ASGITransport(app), timeout=10)

    async def __call__(
        self, method: str, path: str, status: int, token: str = "editor", **options: Any
    ) -> httpx.Response:
        params = {"api-version": API_VERSIONS[0]} | options.pop("params", {})
        headers = {"Authorization": f"Bearer {token}"} | options.pop("headers", {})
        response = await self.http.request(method, ROOT + path, params=params, headers=headers, **options)
        assert response.status_code == status, f"{method} {path}: {response.status_code} {response.text}"
        return response

    async def get(self, path: str, **params: Any) -> Any:
        return (await self("GET", path, 200, params=params)).json()

    async def post(self, path: str, body: Any, status: int = 200) -> Any:
        response = await self("POST", path, status, json=body)
        if status == 202:
            return f"/operations/{response.headers['Operation-Location'].rsplit('/', 1)[1]}"
        return response.json()


@pytest.fixture
async def api(harness: OperatorHarness) -> AsyncIterator[Api]:
    """The REST API for a caller with the role edit."""
    api = Api(harness, FakeTransport(harness.cluster, {SUBSCRIPTION: "s", RESOURCE_GROUP: "g"}))
    async with api.http:
        yield api


def model(name: str = "m", **fields: Any) -> dict[str, Any]:
    return {"name": name, "url": "https://h/1", "mimeType": "text/plain", **fields}


def manifest(name: str = "m", *model_ids: str, **fields: Any) -> dict[str, Any]:
    return {
        "name": name,
        "modelIds": list(model_ids),
        "driverProgram": "driver",
        "assets": [{"id": "driver", "url": "https://h/driver"}],
        "targetRuntime": {"runtimeType": "Python", "properties": {}},
        **fields,
    }


def image(name: str = "m", manifest_id: str = "m:1") -> dict[str, Any]:
    return {"name": name, "manifestId": manifest_id, "imageType": "Docker", "computeResourceId": "c"}


def service(name: str = "m", image_id: str = "m:1", **fields: Any) -> dict[str, Any]:
    return {"name": name, "imageId": image_id, "computeResource": {"type": "Cluster"}, **fields}
