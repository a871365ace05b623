"""Children and build Jobs: one lean watch of each resource, with a server-side label selector."""

from __future__ import annotations

import asyncio
import logging
from typing import Final

from modelyard.api.kinds import SERVICE
from modelyard.api.labels import BUILDS, JOB_NAME, SELECTOR, service_of_keys
from modelyard.controller.namespaces import Namespaces
from modelyard.kube.errors import KubeError
from modelyard.kube.reflector import Reflector
from modelyard.kube.types import (
    AUTOSCALERS,
    CORE_SERVICES,
    DEPLOYMENTS,
    DISRUPTION_BUDGETS,
    JOBS,
    PODS,
    REVISIONS,
    SECRETS,
    ApiResource,
    Json,
    Key,
)
from modelyard.reconcile.builds.log_watcher import BuildLogWatcher
from modelyard.reconcile.builds.pods import is_running, leaving_pod, terminated
from modelyard.reconcile.context import Context
from modelyard.reconcile.services.key_refresh import KeyRefresher

WATCH_STALE_SECONDS: Final = 300.0  # longer than one watch request (240 s) and several bookmarks (60 s)

_LOG: Final = logging.getLogger(__name__)
_LISTS: Final = 2  # at the same time: one that waits for the API server, and one that is decoded
_WATCHED: Final = (REVISIONS, DEPLOYMENTS, CORE_SERVICES, SECRETS, AUTOSCALERS, DISRUPTION_BUDGETS)
_METADATA_ONLY: Final = {CORE_SERVICES, SECRETS, AUTOSCALERS, DISRUPTION_BUDGETS}


class ChildWatches:
    """Watches the children of all custom objects and the build Jobs, and queues their owners."""

    def __init__(self, ctx: Context, namespaces: Namespaces):
        self._ctx = ctx
        self._namespaces = namespaces
        self._tasks: dict[Reflector, asyncio.Task[None]] = {}
        self._listed = False  # True after all first lists
        self._lists = asyncio.Semaphore(_LISTS)
        self._logs = BuildLogWatcher(ctx.client, ctx.settings.namespace, self._on_pushed)
        self._keys = KeyRefresher(ctx.client, ctx.cache.children, now=ctx.now, sleep=ctx.sleep)
        self._by_namespace = {name: self._children(name) for name in ctx.settings.namespaces}
        self._builds = self._build_reflectors()
        self._added: list[Reflector] = []  # of kinds that not each cluster serves

    def _children(self, namespace: str | None) -> list[Reflector]:
        return [
            Reflector(
                self._ctx.client,
                resource,
                self.on_child,
                namespace=namespace,
                selector=SELECTOR,
                metadata_only=resource in _METADATA_ONLY,
                lists=self._lists,
                sleep=self._ctx.sleep,
            )
            for resource in _WATCHED
        ]

    def _build_reflectors(self) -> list[Reflector]:
        client, namespace = self._ctx.client, self._ctx.settings.namespace
        return [
            Reflector(client, resource, handler, namespace=namespace, selector=BUILDS, sleep=self._ctx.sleep)
            for resource, handler in ((JOBS, self.on_job), (PODS, self.on_build_pod))
        ]

    @property
    def reflectors(self) -> list[Reflector]:
        """All watches, those of namespaces that are set aside included."""
        return [*(one for several in self._by_namespace.values() for one in several), *self._builds]

    @property
    def has_ended(self) -> bool:
        """True if the task of a watch has ended, which only a bug can cause."""
        return any(task.done() for task in self._tasks.values())

    def start(self) -> None:
        """Start one task for each watch."""
        self._tasks = {reflector: asyncio.create_task(reflector.run()) for reflector in self.reflectors}

    async def sync(self) -> None:
        """Wait until each watch has its first list; raises the error that ended a watch before that.

        A namespace whose watches are denied is set aside. The build Jobs are in the operator's own namespace,
        without which nothing can be built: their watches are awaited without an end.
        """
        for namespace, reflectors in self._by_namespace.items():
            for reflector in reflectors:
                event = reflector.synced if namespace is None else reflector.settled
                await _until_set(event, self._tasks[reflector])
        for reflector in self._builds:
            await _until_set(reflector.synced, self._tasks[reflector])
        self.set_aside_denied()
        self._listed = True
        self._keys.start()

    async def add(self, reflectors: list[Reflector]) -> None:
        """Start further watches, and wait until each has its first list or is denied."""
        self._added += reflectors
        self._tasks |= {reflector: asyncio.create_task(reflector.run()) for reflector in reflectors}
        for reflector in reflectors:
            await _until_set(reflector.settled, self._tasks[reflector])

    def set_aside_denied(self) -> None:
        """Set the namespaces aside whose watches are denied."""
        for namespace in self._ctx.settings.watch_namespaces:
            if denial := self._denial(namespace):
                self._namespaces.set_aside(namespace, denial)

    def is_synced(self, namespace: str) -> bool:
        """Return True if every watch of a namespace has listed its objects since its last denial."""
        return all(reflector.synced.is_set() for reflector in self._by_namespace[namespace])

    def _denial(self, namespace: str) -> KubeError | None:
        denials = (reflector.denial for reflector in self._by_namespace[namespace])
        return next((denial for denial in denials if denial), None)

    async def restart_silent(self) -> None:
        """Restart each watch that is connected, but has been silent for longer than 300 s."""
        for reflector, task in list(self._tasks.items()):
            silence = reflector.seconds_since_event
            if silence <= WATCH_STALE_SECONDS or reflector.is_failing or task.done():
                continue
            _LOG.warning("watch of %s: silent for %.0f s; restarting", reflector.resource.qualified, silence)
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            self._tasks[reflector] = asyncio.create_task(reflector.run())

    async def close(self) -> None:
        """Stop all watches, and stop following build logs."""
        for task in self._tasks.values():
            task.cancel()
        await asyncio.gather(*self._tasks.values(), return_exceptions=True)
        self._tasks.clear()
        self._added.clear()
        await self._logs.close()
        await self._keys.close()

    def seconds_since_event(self) -> dict[str, int]:
        """Return the seconds since the last event or bookmark, by resource; the longest of all namespaces.

        Namespaces that are set aside and watches that were added and denied do not count.
        """
        seconds: dict[str, int] = {}
        active = [one for name in self._namespaces.active for one in self._by_namespace[name]]
        added = [one for one in self._added if one.denial is None]
        for reflector in (*active, *self._builds, *added):
            name = reflector.resource.qualified
            seconds[name] = max(round(reflector.seconds_since_event), seconds.get(name, 0))
        return seconds

    def on_child(
        self, resource: ApiResource, body: Json, deleted: bool, *, trusted: bool | None = None
    ) -> None:
        """Take an event of a child and queue the custom object that owns the child.

        `trusted` is whether an unknown child is compared with the resync only, by default in the first lists.
        """
        if resource is REVISIONS:
            self._on_revision(body, deleted)
        elif deleted:
            self._on_deleted_child(resource, body)
        else:
            # A Deployment of the first list is compared by the first reconcile, because its changes hit the
            # pods. The other children are compared within the first resync, to spread the reads.
            if trusted is None:
                trusted = not self._listed and resource is not DEPLOYMENTS
            if resource is SECRETS:
                self._keys.observe(body, is_newer=self._ctx.cache.children.is_newer(resource, body))
            self._add(self._ctx.cache.children.put(resource, body, trusted=trusted))

    def _on_revision(self, body: Json, deleted: bool) -> None:
        cache, queue = self._ctx.cache, self._ctx.queue
        if deleted:
            if key := cache.revisions.delete(body):
                cache.objects.mark_stale(key)
                # The object may have been deleted and made again while its watch was disconnected, and may
                # wait for its first version.
                for affected in (key, *cache.objects.dependents(key)):
                    queue.add(affected)
            return
        revision = cache.revisions.put(body)
        if revision is None:
            return
        for dependent in cache.objects.dependents(revision.key):
            queue.add(dependent)
        # The worker that creates a revision continues. A revision whose writer was killed, or got no answer,
        # needs another reconcile.
        if not cache.pending_writes.is_creating(REVISIONS, revision.key.namespace, revision.name):
            queue.add(revision.key)

    def _on_deleted_child(self, resource: ApiResource, body: Json) -> None:
        self._ctx.cache.children.delete(resource, body)
        metadata = body["metadata"]
        owner = service_of_keys(metadata["name"]) if resource is SECRETS else metadata["name"]
        key = Key(SERVICE.name, metadata["namespace"], owner)
        self._ctx.cache.objects.mark_stale(key)
        self._ctx.queue.add(key)

    def on_job(self, _: ApiResource, body: Json, deleted: bool) -> None:
        """Take an event of a build Job and queue its Image."""
        cache = self._ctx.cache
        self._add(
            cache.build_jobs.delete(body["metadata"]["name"]) if deleted else cache.build_jobs.put(body)
        )
        self._ctx.build_line.wake()

    def on_build_pod(self, _: ApiResource, body: Json, deleted: bool) -> None:
        """Take an event of a build pod: follow the log while it runs, complete the Job when it has ended."""
        name = body["metadata"]["name"]
        if deleted:
            self._ctx.cache.build_jobs.remove_leaving_pod(name)
            return
        job = body["metadata"]["labels"][JOB_NAME]
        if leaving := leaving_pod(body):
            self._add(self._ctx.cache.build_jobs.put_leaving_pod(leaving))
        else:
            self._ctx.cache.build_jobs.remove_leaving_pod(name)
        if terminated(body) or is_running(body):
            self._ctx.cache.build_jobs.mark_started(job)
        if terminated(body).get("exitCode") == 0:
            self._add(self._ctx.cache.build_jobs.mark_complete(job))
            self._ctx.build_line.wake()
        elif is_running(body):
            self._ctx.cache.build_jobs.put_running_pod(job, name)
            self._logs.watch(name, job)

    def _on_pushed(self, job: str) -> None:
        self._add(self._ctx.cache.build_jobs.mark_pushed(job))

    def _add(self, key: Key | None) -> None:
        if key:
            self._ctx.queue.add(key)


async def _until_set(event: asyncio.Event, task: asyncio.Task[None]) -> None:
    """Wait for an event of a watch; raise the error that ended the watch before."""
    is_set = asyncio.ensure_future(event.wait())
    try:
        await asyncio.wait({is_set, task}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        is_set.cancel()
    if task.done():
        task.result()
