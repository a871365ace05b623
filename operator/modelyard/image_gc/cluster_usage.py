"""The usage of images that the cluster's objects show, and the ConfigMap that stores unused images."""

from __future__ import annotations

import asyncio
import datetime as dt
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Final, TypeVar

import orjson

from modelyard.api.resources import CUSTOM_RESOURCES
from modelyard.image_gc.usage import Usage, UsageBuilder
from modelyard.kube.errors import AlreadyExists
from modelyard.kube.interface import KubeClient
from modelyard.kube.kubeconfig import connect
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

SCANNED_RESOURCES: Final = (
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
"""Resources whose objects may name an image. The chart grants the verb list for these and for no other."""

_CONFIG_MAP: Final = "modelyard-unused-images"
_KEY: Final = "unusedSince"
_MAX_ENTRIES: Final = 5000  # a ConfigMap holds at most 1 MiB

UnusedSince = Mapping[str, dt.datetime]
"""`repository@digest` of an unused image or cached layer → the time of the first run that found it unused."""

T = TypeVar("T")


@asynccontextmanager
async def _connection() -> AsyncIterator[KubeClient]:
    client = await connect()
    try:
        yield client
    finally:
        await client.close()


class ClusterUsage:
    """The cluster's usage of images.

    The methods are synchronous. Each opens its own connection, since minutes may pass between two calls.
    """

    def __init__(
        self,
        settings: OperatorSettings,
        connect: Callable[[], AbstractAsyncContextManager[KubeClient]] = _connection,
    ):
        self._settings = settings
        self._connect = connect

    def usage(self) -> Usage:
        """Return which objects use which image now. Raises KubeError."""
        return self._run(self._usage)

    def unused_since(self) -> UnusedSince:
        """Return the times of the last `save_unused_since`, empty before the first. Raises KubeError."""
        return self._run(self._unused_since)

    def save_unused_since(self, unused_since: UnusedSince) -> None:
        """Replace the saved times; of more than 5000 only the oldest are saved. Raises KubeError."""
        self._run(lambda client: self._save_unused_since(client, unused_since))

    def _run(self, call: Callable[[KubeClient], Awaitable[T]]) -> T:
        async def connected() -> T:
            async with self._connect() as client:
                return await call(client)

        return asyncio.run(connected())

    async def _usage(self, client: KubeClient) -> Usage:
        """Read one page at a time: the objects of a cluster take more memory than the Job has."""
        usage = UsageBuilder(self._settings.registry.repository)
        for resource in SCANNED_RESOURCES:
            for namespace in self._settings.namespaces:
                async for page in client.pages(resource, namespace):
                    for body in page.items:
                        usage.add({"kind": resource.kind, **body})
        return usage.build()

    async def _unused_since(self, client: KubeClient) -> UnusedSince:
        config_map = await client.get_or_none(CONFIG_MAPS, self._settings.namespace, _CONFIG_MAP)
        saved = orjson.loads(config_map.get("data", {}).get(_KEY, "{}")) if config_map else {}
        return {image: dt.datetime.fromisoformat(since) for image, since in saved.items()}

    async def _save_unused_since(self, client: KubeClient, unused_since: UnusedSince) -> None:
        oldest_first = sorted(
            (since.isoformat(timespec="seconds"), image) for image, since in unused_since.items()
        )
        saved = {image: since for since, image in oldest_first[:_MAX_ENTRIES]}
        data = {_KEY: orjson.dumps(saved).decode()}
        body = {**CONFIG_MAPS.header(), "metadata": {"name": _CONFIG_MAP}, "data": data}
        try:
            await client.create(CONFIG_MAPS, self._settings.namespace, body)
        except AlreadyExists:
            await client.patch(CONFIG_MAPS, self._settings.namespace, _CONFIG_MAP, {"data": data})
