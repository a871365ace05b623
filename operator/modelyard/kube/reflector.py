"""A reflector: it lists and watches one resource, and passes objects and changes to a handler.

The name is client-go's. The handler receives every object of the first list, then every change. Objects that
were deleted while the watch was away are passed as deleted.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from typing import Final

from modelyard.backoff import Backoff
from modelyard.kube.client import METADATA_LIST, METADATA_ONLY
from modelyard.kube.errors import Gone, KubeError, is_denial
from modelyard.kube.interface import KubeClient
from modelyard.kube.transport import JSON
from modelyard.kube.types import ApiResource, Json

# Denials in a row, within about 15 s, before one is final. An API server that has not loaded RBAC yet denies
# everything for some seconds.
FINAL_DENIAL: Final = 6

_LOG: Final = logging.getLogger(__name__)
_BACKOFF: Final = Backoff(first_seconds=0.5, most_seconds=30.0, jitter=0.5)
_DENIED_SECONDS: Final = 60.0  # between two attempts of a denied watch

Handler = Callable[[ApiResource, Json, bool], None]
"""Receives the resource, an object, and whether the object was deleted."""


class Reflector:
    """Keeps a handler up to date with the objects of one resource in one namespace, or in all.

    Each list has a page in memory. A semaphore that several reflectors share bounds their number: `lists`.
    """

    def __init__(
        self,
        client: KubeClient,
        resource: ApiResource,
        handler: Handler,
        *,
        namespace: str | None = None,
        selector: str = "",
        fields: str = "",
        metadata_only: bool = False,
        lists: asyncio.Semaphore | None = None,
        monotonic: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ):
        self.resource = resource
        self.synced = asyncio.Event()  # set after the first list, cleared by a final denial
        self.settled = asyncio.Event()  # set after the first list or a final denial
        self.denial: KubeError | None = None  # the final denial, until the next list succeeds
        self.is_failing = False  # True from an error until the API server next sent anything
        self._client = client
        self._handler = handler
        self._namespace = namespace
        selectors = {"labelSelector": selector, "fieldSelector": fields}
        self._query = {key: value for key, value in selectors.items() if value}
        self._metadata_only = metadata_only
        self._lists = lists or asyncio.Semaphore()
        self._monotonic = monotonic
        self._sleep = sleep
        self._keys: set[tuple[str, str]] = set()
        self._has_event = False  # whether the present watch has had an event or bookmark
        self._version = ""  # of the latest event: a watch that breaks continues from there
        self.last_event = monotonic()  # monotonic time at which the API server last sent anything

    @property
    def seconds_since_event(self) -> float:
        """Return the seconds since the API server last sent anything; it sends a bookmark each minute."""
        return self._monotonic() - self.last_event

    async def run(self) -> None:
        """List and watch until cancelled.

        A pause follows each error, also 410 Gone. Without it, an API server that answers each watch with 410
        would be listed thousands of times in a second.
        """
        failures = denials = 0
        while True:
            self._has_event = False
            try:
                if not self._version:
                    self._version = await self._list()
                await self._watch()
                failures = denials = 0
            except KubeError as error:
                # After a watch with events, this is a first failure. A watch that was only accepted may fail
                # again and again.
                failures = 1 if self._has_event else failures + 1
                denials = denials + 1 if is_denial(error) else 0
                if isinstance(error, Gone):
                    self._version = ""
                await self._pause(error, failures, is_final=denials >= FINAL_DENIAL)

    async def _pause(self, error: KubeError, failures: int, *, is_final: bool) -> None:
        wait = _DENIED_SECONDS if is_final else _BACKOFF.seconds(failures, error.retry_after)
        if is_final:
            self._version = ""  # the objects may have changed until the watch is allowed again
            self.denial = error
            self.synced.clear()
            self.settled.set()
        _LOG.warning("watch of %s: %s; next attempt in %.1f s", self.resource.qualified, error, wait)
        self.is_failing = True
        await self._sleep(wait)

    async def _list(self) -> str:
        """Pass each page of the list to the handler; return the resourceVersion of the list."""
        accept = METADATA_LIST if self._metadata_only else JSON
        deleted = set(self._keys)
        version = ""
        async with self._lists:
            async for page in self._client.pages(
                self.resource, self._namespace, accept=accept, **self._query
            ):
                self._touch()
                version = page.resource_version
                for item in page.items:
                    deleted.discard(_key(item))
                    self._emit(item, deleted=False)
                # A decoded page of 4 MiB takes 17 MB, and the loop would hold it until the next one is here.
                del page
        for namespace, name in deleted:
            self._emit({"metadata": {"namespace": namespace, "name": name}}, deleted=True)
        self.denial = None
        self.synced.set()
        self.settled.set()
        return version

    async def _watch(self) -> None:
        accept = METADATA_ONLY if self._metadata_only else JSON
        async for event in self._client.watch(
            self.resource, self._namespace, self._version, accept=accept, on_open=self._touch, **self._query
        ):
            self._touch()
            self._has_event = True
            self._version = event["object"]["metadata"]["resourceVersion"]
            if event["type"] != "BOOKMARK":
                self._emit(event["object"], deleted=event["type"] == "DELETED")
        self._touch()

    def _touch(self) -> None:
        self.last_event = self._monotonic()
        self.is_failing = False

    def _emit(self, item: Json, *, deleted: bool) -> None:
        if deleted:
            self._keys.discard(_key(item))
        else:
            self._keys.add(_key(item))
        self._handler(self.resource, item, deleted)


def _key(item: Json) -> tuple[str, str]:
    return item["metadata"].get("namespace", ""), item["metadata"]["name"]
