"""A reflector: one list and one watch of a resource, kept alive, told to a sink.

Named after client-go's. The sink hears every object of the list, then every change; objects that went while
the watch was away are told as deleted.
"""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections.abc import Callable
from typing import Final

from modelyard.kube.client import METADATA_LIST, METADATA_ONLY
from modelyard.kube.errors import Gone, KubeError
from modelyard.kube.interface import KubeClient
from modelyard.kube.types import ApiResource, Json

_LOG: Final = logging.getLogger(__name__)
_LONGEST_WAIT: Final = 30.0  # seconds between attempts while the API server is away

Sink = Callable[[ApiResource, Json, bool], None]  # resource, object, deleted


class Reflector:
    """Keeps a sink up to date with the objects of one resource in one namespace, or in all."""

    def __init__(
        self,
        client: KubeClient,
        resource: ApiResource,
        sink: Sink,
        *,
        namespace: str | None = None,
        selector: str = "",
        metadata_only: bool = False,
        monotonic: Callable[[], float] = time.monotonic,
    ):
        self.resource = resource
        self.synced = asyncio.Event()
        self._client = client
        self._sink = sink
        self._namespace = namespace
        self._query = {"labelSelector": selector} if selector else {}
        self._metadata_only = metadata_only
        self._monotonic = monotonic
        self._seen: set[tuple[str, str]] = set()
        self._version = ""  # heard last, so that a watch that breaks goes on where it was
        self.last_contact = monotonic()

    @property
    def silence(self) -> float:
        """Seconds since the API server was last heard; bookmarks come every minute."""
        return self._monotonic() - self.last_contact

    async def run(self) -> None:
        """List and watch until cancelled."""
        wait = 0.5
        while True:
            heard = self.last_contact
            try:
                if not self._version:
                    self._version = await self._list()
                await self._watch()
                wait = 0.5
            except Gone:
                self._version = ""
            except KubeError as error:
                if self.last_contact > heard:  # it worked for a while, so this is a first failure
                    wait = 0.5
                _LOG.warning("watch of %s: %s; again in %.1f s", self.resource.qualified, error, wait)
                await asyncio.sleep(wait * random.uniform(0.5, 1.0))  # noqa: S311
                wait = min(wait * 2, _LONGEST_WAIT)

    async def _list(self) -> str:
        accept = METADATA_LIST if self._metadata_only else "application/json"
        items, version = await self._client.list_with_resource_version(
            self.resource, self._namespace, accept=accept, **self._query
        )
        self.last_contact = self._monotonic()
        gone = self._seen - {_key(item) for item in items}
        for item in items:
            self._tell(item, deleted=False)
        for namespace, name in gone:
            self._tell({"metadata": {"namespace": namespace, "name": name}}, deleted=True)
        self.synced.set()
        return version

    async def _watch(self) -> None:
        accept = METADATA_ONLY if self._metadata_only else "application/json"
        async for event in self._client.watch(
            self.resource, self._namespace, self._version, accept=accept, **self._query
        ):
            self.last_contact = self._monotonic()
            self._version = event["object"]["metadata"]["resourceVersion"]
            if event["type"] != "BOOKMARK":
                self._tell(event["object"], deleted=event["type"] == "DELETED")
        self.last_contact = self._monotonic()

    def _tell(self, item: Json, *, deleted: bool) -> None:
        (self._seen.discard if deleted else self._seen.add)(_key(item))
        self._sink(self.resource, item, deleted)


def _key(item: Json) -> tuple[str, str]:
    return item["metadata"].get("namespace", ""), item["metadata"]["name"]
