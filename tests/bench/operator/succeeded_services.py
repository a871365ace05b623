"""A watch of Services that succeed. Polling thousands of them would load the API server."""

from __future__ import annotations

import asyncio
import time
from typing import Self

from modelyard.api.kinds import SERVICE
from modelyard.api.resources import CUSTOM_RESOURCES
from modelyard.kube.client import Client
from modelyard.kube.reflector import Reflector
from modelyard.kube.types import ApiResource, Json


class SucceededServices:
    """Context manager that watches which Services of a namespace have the state Succeeded."""

    def __init__(self, client: Client, namespace: str):
        self._names: set[str] = set()
        self._changed = asyncio.Event()
        self._reflector = Reflector(
            client, CUSTOM_RESOURCES[SERVICE.name], self._handle_event, namespace=namespace
        )

    async def __aenter__(self) -> Self:
        self._watching = asyncio.create_task(self._reflector.run())
        await self._reflector.synced.wait()
        return self

    async def __aexit__(self, *_: object) -> None:
        self._watching.cancel()
        await asyncio.wait({self._watching})

    def _handle_event(self, _: ApiResource, body: Json, deleted: bool) -> None:
        if not deleted and body.get("status", {}).get("state") == "Succeeded":
            self._names.add(body["metadata"]["name"])
            self._changed.set()

    async def wait_for(self, count: int) -> None:
        """Wait until `count` Services have succeeded. Raises SystemExit on a timeout."""
        limit = 60 + count
        deadline = time.monotonic() + limit
        while len(self._names) < count:
            self._changed.clear()
            try:
                await asyncio.wait_for(self._changed.wait(), deadline - time.monotonic())
            except TimeoutError:
                message = f"only {len(self._names)} of {count} Services succeeded within {limit} s"
                raise SystemExit(message) from None
