"""Runs in a pod: clients that register models and create services until /tmp/stop is there.

A line of JSON tells of each call before it is sent, and one of its answer.
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


def tell(**line: Any) -> None:
    print(json.dumps(line), flush=True)


async def call(http: httpx.AsyncClient, path: str, key: str, body: dict[str, Any]) -> None:
    tell(sent=path, key=key)
    with contextlib.suppress(httpx.HTTPError):  # its gateway was killed, say: nobody knows what became of it
        answer = await http.post(f"{ROOT}/{path}", json=body)
        operation = answer.headers.get("Operation-Location", "").rpartition("/")[2]
        tell(answered=path, key=key, status=answer.status_code, text=answer.text, operation=operation)


async def register(http: httpx.AsyncClient) -> None:
    key = f"data:,{uuid.uuid4()}"
    body = {"name": random.choice(MODELS), "url": key, "mimeType": "text/plain"}
    await call(http, "models", key, body)


async def create(http: httpx.AsyncClient) -> None:
    key = f"s-{uuid.uuid4().hex[:12]}"
    body = {"name": key, "imageId": IMAGE, "numReplicas": 0, "computeResource": {"type": "Cluster"}}
    await call(http, "services", key, body)
    await asyncio.sleep(1)


async def client(number: int) -> None:
    # Connections of its own: one that is kept leads to the same replica for ever.
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
    await asyncio.gather(*(client(number) for number in range(8)))


asyncio.run(main())
