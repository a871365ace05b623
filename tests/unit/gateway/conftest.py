"""The gateway over an operator in a cluster in memory."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from tests.unit.gateway.api_server import FakeHttpApiServer
from tests.unit.operator_harness import OperatorHarness

from modelyard.gateway.app import application
from modelyard.gateway.request_context import (
    API_VERSIONS,
    RESOURCE_GROUP,
    SUBSCRIPTION,
)
from modelyard.gateway.settings import GatewaySettings

ROOT = "http://gateway/api/subscriptions/s/resourceGroups/g/accounts/default"


class Api:
    """The API as the holder of a token sees it, beside an operator that works."""

    def __init__(self, harness: OperatorHarness, server: FakeHttpApiServer, http: httpx.AsyncClient):
        self.harness = harness
        self.server = server
        self.http = http

    async def __call__(
        self, method: str, path: str, status: int, token: str = "editor", **given: Any
    ) -> httpx.Response:
        params = {"api-version": API_VERSIONS[0]} | given.pop("params", {})
        headers = {"Authorization": f"Bearer {token}"} | given.pop("headers", {})
        answer = await self.http.request(method, ROOT + path, params=params, headers=headers, **given)
        assert answer.status_code == status, f"{method} {path}: {answer.status_code} {answer.text}"
        return answer

    async def get(self, path: str, **params: Any) -> Any:
        return (await self("GET", path, 200, params=params)).json()

    async def post(self, path: str, body: Any, status: int = 200) -> Any:
        answer = await self("POST", path, status, json=body)
        if status == 202:
            return f"/operations/{answer.headers['Operation-Location'].rsplit('/', 1)[1]}"
        return answer.json()


@pytest.fixture
async def api(harness: OperatorHarness) -> AsyncIterator[Api]:
    """Somebody with the role edit, beside an operator."""
    server = FakeHttpApiServer(harness.cluster, {SUBSCRIPTION: "s", RESOURCE_GROUP: "g"})
    app = application(GatewaySettings(insecure=True, patience_seconds=5), server)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), timeout=10) as http:
        yield Api(harness, server, http)
    await server.close()


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
