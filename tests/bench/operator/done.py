"""Services that have come to their end, heard from a watch: polling thousands would load the API server."""

from __future__ import annotations

import asyncio
import time
from typing import Self

from modelyard.api.kinds import SERVICE
from modelyard.api.resources import CUSTOM_RESOURCES
from modelyard.kube.client import Client
from modelyard.kube.reflector import Reflector
from modelyard.kube.types import ApiResource, Json


class Done:
    """The Services of a namespace whose state is Succeeded, while the context lasts."""

    def __init__(self, client: Client, namespace: str):
        self._names: set[str] = set()
        self._heard = asyncio.Event()
        self._reflector = Reflector(client, CUSTOM_RESOURCES[SERVICE.name], self._hear, namespace=namespace)

    async def __aenter__(self) -> Self:
        self._watching = asyncio.create_task(self._reflector.run())
        await self._reflector.synced.wait()
        return self

    async def __aexit__(self, *_: object) -> None:
        self._watching.cancel()
        await asyncio.wait({self._watching})

    def _hear(self, _: ApiResource, body: Json, deleted: bool) -> None:
        if not deleted and body.get("status", {}).get("state") == "Succeeded":
            self._names.add(body["metadata"]["name"])
            self._heard.set()

    async def reach(self, count: int) -> None:
        """Wait until `count` Services are done, and thus their children."""
        limit = 60 + count
        deadline = time.monotonic() + limit
        while len(self._names) < count:
            self._heard.clear()
            try:
                await asyncio.wait_for(self._heard.wait(), deadline - time.monotonic())
            except TimeoutError:
                ended = f"only {len(self._names)} of {count} Services came to their end in {limit} s"
                raise SystemExit(ended) from None
