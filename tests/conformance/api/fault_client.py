"""Clients that register models and create services until the file /tmp/stop exists, for a pod.

The output has a line of JSON for each request before it is sent, and one for each response.
"""

import asyncio
import contextlib
import json
import os
import random
import ssl
import uuid
from pathlib import Path
from typing import Any

import httpx

ROOT, IMAGE = os.environ["ROOT"], os.environ["IMAGE"]
TOKEN = Path("/var/run/secrets/kubernetes.io/serviceaccount/token").read_text(encoding="utf-8")
MODELS = ("one", "Two.pkl", "three")


def report(**line: Any) -> None:
    """Print a line of JSON."""
    print(json.dumps(line), flush=True)


async def call(http: httpx.AsyncClient, path: str, key: str, body: dict[str, Any]) -> None:
    """Send a request that `key` identifies, and report it."""
    report(request=path, key=key)
    # A gateway that is killed during a request leaves its outcome open.
    with contextlib.suppress(httpx.HTTPError):
        response = await http.post(f"{ROOT}/{path}", json=body)
        operation = response.headers.get("Operation-Location", "").rpartition("/")[2]
        report(response=path, key=key, status=response.status_code, text=response.text, operation=operation)


async def register(http: httpx.AsyncClient) -> None:
    """Register a version of a model, with a unique URL."""
    key = f"data:,{uuid.uuid4()}"
    body = {"name": random.choice(MODELS), "url": key, "mimeType": "text/plain"}
    await call(http, "models", key, body)


async def create(http: httpx.AsyncClient) -> None:
    """Create a service with a unique name, and wait a second."""
    key = f"s-{uuid.uuid4().hex[:12]}"
    body = {"name": key, "imageId": IMAGE, "numReplicas": 0, "computeResource": {"type": "Cluster"}}
    await call(http, "services", key, body)
    await asyncio.sleep(1)


async def client(number: int) -> None:
    """Run a client: number 0 creates services, the others register models."""
    # Each request has its own connection, because a kept connection leads to the same replica each time.
    async with httpx.AsyncClient(
        verify=ssl.create_default_context(cafile="/client/ca.crt"),
        headers={"Authorization": f"Bearer {TOKEN}"},
        params={"api-version": "2017-09-01-preview"},
        timeout=20,
        limits=httpx.Limits(max_keepalive_connections=0),
    ) as http:
        while not Path("/tmp/stop").exists():
            await (register(http) if number else create(http))
            await asyncio.sleep(0.05)


async def main() -> None:
    """Run eight clients at the same time."""
    await asyncio.gather(*(client(number) for number in range(8)))


asyncio.run(main())
