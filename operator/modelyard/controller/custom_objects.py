"""Objects of the four kinds: kopf's events put into the cache and the work queue.

kopf lists and watches the four kinds and calls `observe` for each event. Two things kopf does not give, and
this module adds them:

- Complete knowledge before the first reconcile: `load` lists all objects once before kopf starts to watch.
- Deletions while a watch was disconnected: kopf lists again and reports the objects that exist, with the
  event type None, but no deletion. After such a list, and once in each resync, `compare` lists the metadata
  of each kind. An object whose presence or version differs there is fetched and queued.
"""

from __future__ import annotations

import asyncio
import datetime as dt
import logging
from typing import Final

from modelyard.api.kinds import KINDS, Kind
from modelyard.api.resources import CUSTOM_RESOURCES
from modelyard.controller.namespaces import Namespaces
from modelyard.kube.client import METADATA_LIST
from modelyard.kube.errors import KubeError
from modelyard.kube.types import Json, Key
from modelyard.reconcile.context import Context

_LOG: Final = logging.getLogger(__name__)
_LIST_SETTLES: Final = 2.0  # seconds: the chunks of one list of kopf start one comparison
_LATE_AFTER: Final = 60.0  # seconds that kopf has to report an object that a comparison found changed
_STUCK_AFTER: Final = 900.0  # seconds; kopf ends each watch request after 300 s and lists after an error


class CustomObjects:
    """Feeds the cache and the work queue with the events of the four kinds."""

    def __init__(self, ctx: Context, namespaces: Namespaces):
        self._ctx = ctx
        self._namespaces = namespaces
        self._compared = ctx.now()
        self._listed = asyncio.Event()  # kopf has listed a kind since the last comparison
        self._late: dict[Key, dt.datetime] = {}  # object → when a comparison found it changed

    async def load(self) -> None:
        """List all objects into the cache; try again while the API server or a CRD is missing."""
        for namespace in self._namespaces.active:
            await self._namespaces.retry(namespace, self.list_in)

    async def list_in(self, namespace: str | None) -> None:
        """List the objects of a namespace, or of all, into the cache. Raises KubeError."""
        for kind in KINDS:
            async for page in self._ctx.client.pages(CUSTOM_RESOURCES[kind.name], namespace):
                for body in page.items:
                    self._ctx.cache.objects.put(kind.name, body)
                del page  # the loop would hold it until the next one is here

    def observe(self, kind: Kind, event_type: str | None, body: Json) -> None:
        """Take one of kopf's events: `event_type` is ADDED, MODIFIED, DELETED, or None from a list."""
        metadata = body["metadata"]
        self._late.pop(Key(kind.name, metadata["namespace"], metadata["name"]), None)
        if event_type is None:
            self._listed.set()
        if event_type == "DELETED":
            self.remove(kind.name, body)
        elif key := self._ctx.cache.objects.put(kind.name, body):
            # Their failure may be that of the old content, which this change may correct.
            for stalled in self._ctx.cache.objects.stalled_dependents(key):
                self._ctx.queue.add(stalled)
            self._ctx.queue.add(key)

    def remove(self, kind: str, body: Json) -> None:
        """Drop a deleted object and queue it and the objects that refer to it."""
        key = self._ctx.cache.objects.delete(kind, body)
        for affected in (key, *self._ctx.cache.objects.dependents(key)):
            self._ctx.queue.add(affected)

    async def compare_after_lists(self) -> None:
        """Compare all kinds after each list of kopf, for as long as the process runs.

        All kinds: a fault of one watch may have hit the others, and a list without objects makes no event.
        """
        while True:
            await self._listed.wait()
            await self._ctx.sleep(_LIST_SETTLES)
            self._listed.clear()
            await self.compare_all()

    async def compare_all(self) -> None:
        """Compare all kinds."""
        for kind in KINDS:
            await self.compare(kind.name)

    async def compare(self, kind: str) -> None:
        """Queue the objects of a kind whose presence or version in the API server differs from the cache."""
        for namespace in self._namespaces.active:
            try:
                await self._compare_in(kind, namespace)
            except KubeError as error:
                _LOG.warning("comparison of %s: %s; the next resync compares again", kind, error)

    async def _compare_in(self, kind: str, namespace: str | None) -> None:
        """Compare the objects of a kind in one namespace, or in all. Raises KubeError."""
        cached = self._ctx.cache.objects.keys()
        before = {key for key in cached if _is_of(key, kind, namespace)}
        live: dict[Key, int] = {}
        async for page in self._ctx.client.pages(CUSTOM_RESOURCES[kind], namespace, accept=METADATA_LIST):
            for body in page.items:
                metadata = body["metadata"]
                live[Key(kind, metadata["namespace"], metadata["name"])] = int(metadata["resourceVersion"])
            del page
        self._compared = self._ctx.now()
        for key in sorted(before - live.keys()):
            self._refetch(key)
        # kopf cannot report an object that was created and deleted while its watch was disconnected.
        self._late = {
            key: since for key, since in self._late.items() if not _is_of(key, kind, namespace) or key in live
        }
        await self._fetch_newer(kind, live)

    async def _fetch_newer(self, kind: str, live: dict[Key, int]) -> None:
        """Queue the objects that are newer than the cache; fetch absent ones. Raises KubeError."""
        for key, version in live.items():
            obj = self._ctx.cache.objects.get(key)
            if obj and obj.resource_version >= version:
                continue
            self._late.setdefault(key, self._ctx.now())
            if obj:
                self._refetch(key)
                continue
            body = await self._ctx.client.get_or_none(CUSTOM_RESOURCES[kind], key.namespace, key.name)
            if body and (added := self._ctx.cache.objects.put(kind, body)):
                self._ctx.queue.add(added)

    def _refetch(self, key: Key) -> None:
        self._ctx.cache.objects.mark_stale(key)
        self._ctx.queue.add(key)

    def check_delay(self) -> None:
        """Raise RuntimeError if kopf has not reported a change within 60 s."""
        self._check(self._ctx.now(), _LATE_AFTER)

    def check_stuck(self) -> None:
        """Raise RuntimeError if a comparison found a change that kopf had not reported for 15 min.

        The time without a comparison does not count: the API server may be away.
        """
        self._check(self._compared, _STUCK_AFTER)

    def _check(self, now: dt.datetime, seconds: float) -> None:
        for key, since in self._late.items():
            if self._namespaces.is_set_aside(key.namespace):
                continue
            if (now - since).total_seconds() > seconds:
                raise RuntimeError(f"kopf has not reported changes of {key.kind} objects for {seconds:g} s")


def _is_of(key: Key, kind: str, namespace: str | None) -> bool:
    return key.kind == kind and namespace in {None, key.namespace}
