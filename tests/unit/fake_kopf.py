"""kopf's watches of the four kinds, over the fake API server.

Held against the real kopf by tests/unit/handlers. Like kopf 1.45, a watch first lists the objects and
reports each with the event type None. It continues after a disconnect, and lists again when its
resourceVersion has expired; it does not report deletions that it missed.
"""

from __future__ import annotations

import asyncio

from tests.unit.fake_api_server import FakeApiServer

from modelyard.api.kinds import KINDS, Kind
from modelyard.api.resources import CUSTOM_RESOURCES
from modelyard.controller.controller import Controller
from modelyard.settings import OperatorSettings


class FakeKopf:
    """Calls the controller as the handlers in modelyard.handlers.events do."""

    def __init__(self, cluster: FakeApiServer, controller: Controller, settings: OperatorSettings):
        self._cluster = cluster
        self._controller = controller
        self._namespaces = settings.namespaces
        self._tasks: list[asyncio.Task[None]] = []

    def start(self) -> None:
        """Start one watch for each kind and namespace."""
        self._tasks = [
            asyncio.create_task(self._watch(kind, namespace))
            for kind in KINDS
            for namespace in self._namespaces
        ]

    async def stop(self) -> None:
        """Stop all watches; raises the error of a handler."""
        for task in self._tasks:
            task.cancel()
        for ended in await asyncio.gather(*self._tasks, return_exceptions=True):
            if isinstance(ended, Exception):
                raise ended

    async def _watch(self, kind: Kind, namespace: str | None) -> None:
        version = -1
        while True:
            if version < self._cluster.oldest_version:
                version = self._list(kind, namespace)
            async for event in self._cluster.follow(CUSTOM_RESOURCES[kind.name], namespace, version):
                version = event.version
                self._controller.observe(kind, event.type, event.body)

    def _list(self, kind: Kind, namespace: str | None) -> int:
        version = self._cluster.version
        for body in self._cluster.all(CUSTOM_RESOURCES[kind.name]):
            if namespace in {None, body["metadata"]["namespace"]}:
                self._controller.observe(kind, None, body)
        return version
