"""Children and build Jobs: one lean watch of each resource, with a server-side label selector."""

from __future__ import annotations

import asyncio
from typing import Final

from modelyard.api.kinds import SERVICE
from modelyard.api.labels import BUILDS, JOB_NAME, SELECTOR, service_of_keys
from modelyard.kube.client import METADATA_LIST
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
from modelyard.reconcile.builds.pods import is_running, terminated
from modelyard.reconcile.context import Context

WATCH_STALE_SECONDS: Final = 300.0  # longer than one watch request (240 s) and several bookmarks (60 s)
# Their status changes with each measurement or pod, and a watch would report that. A resync finds all
# other changes.
UNWATCHED: Final = (AUTOSCALERS, DISRUPTION_BUDGETS)

_WATCHED: Final = (REVISIONS, DEPLOYMENTS, CORE_SERVICES, SECRETS)
_METADATA_ONLY: Final = {CORE_SERVICES, SECRETS}


class ChildWatches:
    """Watches the children of all custom objects and the build Jobs, and queues their owners."""

    def __init__(self, ctx: Context):
        self._ctx = ctx
        self._listed = False  # True after all first lists
        self._logs = BuildLogWatcher(ctx.client, ctx.settings.namespace, self._on_pushed)
        self.reflectors = [*self._children(), *self._builds()]

    def _children(self) -> list[Reflector]:
        return [
            Reflector(
                self._ctx.client,
                resource,
                self.on_child,
                namespace=namespace,
                selector=SELECTOR,
                metadata_only=resource in _METADATA_ONLY,
            )
            for resource in _WATCHED
            for namespace in self._ctx.settings.namespaces
        ]

    def _builds(self) -> list[Reflector]:
        client, namespace = self._ctx.client, self._ctx.settings.namespace
        return [
            Reflector(client, resource, handler, namespace=namespace, selector=BUILDS)
            for resource, handler in ((JOBS, self.on_job), (PODS, self.on_build_pod))
        ]

    def start(self) -> list[asyncio.Task[None]]:
        """Start one task for each watch."""
        return [asyncio.create_task(reflector.run()) for reflector in self.reflectors]

    async def sync(self, tasks: list[asyncio.Task[None]]) -> None:
        """Wait until each watch has its first list; raises the error that ended a watch before that."""
        for reflector, task in zip(self.reflectors, tasks, strict=True):
            await _until_synced(reflector, task)
        for namespace in self._ctx.settings.namespaces:
            for resource in UNWATCHED:
                bodies = await self._ctx.client.list_all(
                    resource, namespace, accept=METADATA_LIST, labelSelector=SELECTOR
                )
                for body in bodies:
                    self._ctx.cache.children.put(resource, body, trusted=True)
        self._listed = True

    async def close(self) -> None:
        """Stop following build logs."""
        await self._logs.close()

    def seconds_since_event(self) -> dict[str, int]:
        """Return the seconds since the last event or bookmark, by resource; the longest of all namespaces."""
        seconds: dict[str, int] = {}
        for reflector in self.reflectors:
            name = reflector.resource.qualified
            seconds[name] = max(round(reflector.seconds_since_event), seconds.get(name, 0))
        return seconds

    def on_child(self, resource: ApiResource, body: Json, deleted: bool) -> None:
        """Take an event of a child and queue the custom object that owns the child."""
        if resource is REVISIONS:
            self._on_revision(body, deleted)
        elif deleted:
            self._on_deleted_child(resource, body)
        else:
            # A Deployment of the first list is compared by the first reconcile, because its changes hit the
            # pods. The other children are compared within the first resync, to spread the reads.
            trusted = not self._listed and resource is not DEPLOYMENTS
            self._add(self._ctx.cache.children.put(resource, body, trusted=trusted))

    def _on_revision(self, body: Json, deleted: bool) -> None:
        cache, queue = self._ctx.cache, self._ctx.queue
        if deleted:
            if key := cache.revisions.delete(body):
                cache.objects.mark_stale(key)
                queue.add(key)
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
        if deleted:
            return
        job = body["metadata"]["labels"][JOB_NAME]
        if terminated(body) or is_running(body):
            self._ctx.cache.build_jobs.mark_started(job)
        if terminated(body).get("exitCode") == 0:
            self._add(self._ctx.cache.build_jobs.mark_complete(job))
            self._ctx.build_line.wake()
        elif is_running(body):
            self._logs.watch(body["metadata"]["name"], job)

    def _on_pushed(self, job: str) -> None:
        self._add(self._ctx.cache.build_jobs.mark_pushed(job))

    def _add(self, key: Key | None) -> None:
        if key:
            self._ctx.queue.add(key)


async def _until_synced(reflector: Reflector, task: asyncio.Task[None]) -> None:
    """Wait for the first list of a watch; raise the error that ended the watch before."""
    synced = asyncio.ensure_future(reflector.synced.wait())
    try:
        await asyncio.wait({synced, task}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        synced.cancel()
    if task.done():
        task.result()
