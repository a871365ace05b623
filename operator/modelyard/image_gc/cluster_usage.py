"""The cluster, as far as it says which images are needed, and since when some are not."""

from __future__ import annotations

import asyncio
import datetime as dt
from collections.abc import Awaitable, Callable, Mapping
from typing import Final, TypeVar

import orjson

from modelyard.api.resources import CUSTOM_RESOURCES
from modelyard.image_gc.usage import (
    Uses,
    uses_of,
)
from modelyard.kube.client import Client
from modelyard.kube.errors import AlreadyExists
from modelyard.kube.types import (
    CONFIG_MAPS,
    CRON_JOBS,
    DAEMON_SETS,
    DEPLOYMENTS,
    JOBS,
    PODS,
    REPLICA_SETS,
    REVISIONS,
    STATEFUL_SETS,
)
from modelyard.settings import OperatorSettings

NAMES_IMAGES: Final = (
    *CUSTOM_RESOURCES.values(),
    REVISIONS,
    PODS,
    DEPLOYMENTS,
    REPLICA_SETS,
    STATEFUL_SETS,
    DAEMON_SETS,
    JOBS,
    CRON_JOBS,
)
"""Kinds whose objects are read; the chart gives the right to list them, and no other."""

_MARKS: Final = "modelyard-unused-images"
_KEY: Final = "unusedSince"
_MOST: Final = 5000  # marks; a ConfigMap takes 1 MiB

Marks = Mapping[str, dt.datetime]
"""`repository@digest` → since when nobody has needed it."""

T = TypeVar("T")


class Cluster:
    """Synchronous: each call has a connection of its own, since minutes may lie between two."""

    def __init__(self, settings: OperatorSettings):
        self._settings = settings

    def uses(self) -> Uses:
        """Who needs which image now."""
        return _run(self._uses)

    def marks(self) -> Marks:
        """What `mark` has kept."""
        return _run(self._marks)

    def mark(self, marks: Marks) -> None:
        """Keep these marks, the oldest ones if they are too many, and no others."""
        _run(lambda client: self._mark(client, marks))

    async def _uses(self, client: Client) -> Uses:
        lists = await asyncio.gather(
            *(
                client.list_all(resource, namespace)
                for resource in NAMES_IMAGES
                for namespace in self._settings.watch_namespaces or (None,)
            )
        )
        kinds = [
            resource.kind for resource in NAMES_IMAGES for _ in self._settings.watch_namespaces or (None,)
        ]
        objects = ({"kind": kind, **body} for kind, found in zip(kinds, lists, strict=True) for body in found)
        return uses_of(objects, self._settings.registry.repository)

    async def _marks(self, client: Client) -> Marks:
        found = await client.get_or_none(CONFIG_MAPS, self._settings.namespace, _MARKS)
        known = orjson.loads(found.get("data", {}).get(_KEY, "{}")) if found else {}
        return {image: dt.datetime.fromisoformat(since) for image, since in known.items()}

    async def _mark(self, client: Client, marks: Marks) -> None:
        kept = sorted((since.isoformat(timespec="seconds"), image) for image, since in marks.items())[:_MOST]
        data = {_KEY: orjson.dumps({image: since for since, image in kept}).decode()}
        body = {**CONFIG_MAPS.header(), "metadata": {"name": _MARKS}, "data": data}
        try:
            await client.create(CONFIG_MAPS, self._settings.namespace, body)
        except AlreadyExists:
            await client.patch(CONFIG_MAPS, self._settings.namespace, _MARKS, {"data": data})


def _run(call: Callable[[Client], Awaitable[T]]) -> T:
    async def connected() -> T:
        client = await Client.from_environment()
        try:
            return await call(client)
        finally:
            await client.close()

    return asyncio.run(connected())
