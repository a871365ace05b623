"""The controller: watches fill the cache and the queue, workers empty the queue."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from typing import Final

from pydantic import ValidationError

from modelyard.api.kinds import IMAGE, KINDS, SERVICE
from modelyard.api.labels import BUILDS, JOB_NAME, SELECTOR, service_of_keys
from modelyard.api.resources import CUSTOM_RESOURCES
from modelyard.kube.client import METADATA_LIST
from modelyard.kube.errors import Conflict, Forbidden, NamespaceTerminating, NotFound, Rejected, Unavailable
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
from modelyard.metrics import QUEUE_DEPTH, RECONCILE_ERRORS, RECONCILE_SECONDS
from modelyard.reconcile import image, manifest, model, service
from modelyard.reconcile.builds.log_watcher import BuildLogWatcher
from modelyard.reconcile.builds.pods import (
    is_running,
    terminated,
)
from modelyard.reconcile.children import NameTaken
from modelyard.reconcile.context import Context
from modelyard.reconcile.objects import CustomObject
from modelyard.reconcile.outcome import Outcome, failed
from modelyard.reconcile.readiness import gate_readiness
from modelyard.reconcile.status_writer import (
    previous_fields,
    write_status,
)

_LOG: Final = logging.getLogger(__name__)
_RECONCILERS: Final[dict[str, Callable[[Context, CustomObject], Awaitable[Outcome]]]] = {
    "Model": model.reconcile,
    "Manifest": manifest.reconcile,
    "Image": image.reconcile,
    "Service": service.reconcile,
}
_METADATA_ONLY: Final = {CORE_SERVICES, SECRETS}
# Their status changes with every measurement or pod; a resync finds what somebody did to them.
_NOT_WATCHED: Final = (AUTOSCALERS, DISRUPTION_BUDGETS)
_DENIALS: Final = 8  # in a row, within a minute, until one is believed
_TAKEN_PAUSE: Final = 30.0  # seconds until a name that somebody else holds is tried again
_REFUSED_PAUSE: Final = 60.0  # seconds until what the API server refused is tried again
_DEAF_AFTER: Final = 300.0  # seconds: longer than a watch lasts, and several bookmarks


class Controller:
    """One per process."""

    def __init__(self, ctx: Context):
        self._ctx = ctx
        self._tasks: list[asyncio.Task[None]] = []
        self._ends = BuildLogWatcher(ctx.client, ctx.settings.namespace, self._on_pushed)
        self._reflectors = [
            *self._watch_ours(),
            *self._watch_children(REVISIONS, DEPLOYMENTS, CORE_SERVICES, SECRETS),
            *self._watch_builds(JOBS, PODS),
        ]

    def _watch_ours(self) -> list[Reflector]:
        return [
            Reflector(self._ctx.client, CUSTOM_RESOURCES[kind.name], self._on_ours, namespace=namespace)
            for kind in KINDS
            for namespace in self._namespaces
        ]

    def _watch_children(self, *resources: ApiResource) -> list[Reflector]:
        return [
            Reflector(
                self._ctx.client,
                resource,
                self._on_child,
                namespace=namespace,
                selector=SELECTOR,
                metadata_only=resource in _METADATA_ONLY,
            )
            for resource in resources
            for namespace in self._namespaces
        ]

    def _watch_builds(self, *resources: ApiResource) -> list[Reflector]:
        client, namespace = self._ctx.client, self._ctx.settings.namespace
        return [
            Reflector(client, resource, self._on_child, namespace=namespace, selector=BUILDS)
            for resource in resources
        ]

    @property
    def _namespaces(self) -> tuple[str | None, ...]:
        return self._ctx.settings.watch_namespaces or (None,)

    async def start(self) -> None:
        """Learn all that exists, then begin to work; nothing is judged on half of the picture."""
        self._tasks = [asyncio.create_task(reflector.run()) for reflector in self._reflectors]
        for reflector, task in zip(self._reflectors, self._tasks, strict=True):
            await _until_synced(reflector, task)
        for namespace in self._namespaces:
            for resource in _NOT_WATCHED:
                children, _ = await self._ctx.client.list_with_resource_version(
                    resource, namespace, accept=METADATA_LIST, labelSelector=SELECTOR
                )
                for child in children:
                    self._ctx.cache.children.put(resource, child)
        for key in [*self._ctx.cache.objects.keys(), *self._ctx.cache.build_jobs.images()]:
            self._ctx.queue.add(key)
        self._tasks += [asyncio.create_task(self._work()) for _ in range(self._ctx.settings.workers)]
        self._tasks.append(asyncio.create_task(self._resync()))
        _LOG.info("watching %s", ", ".join(self._ctx.settings.watch_namespaces) or "all namespaces")

    async def stop(self) -> None:
        """Stop; what is under way is taken up again at the next start."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._ends.close()

    def health(self) -> Json:
        """Seconds since each watch was last heard; RuntimeError when one is deaf or a worker has ended."""
        silence: dict[str, int] = {}
        for reflector in self._reflectors:
            name = reflector.resource.qualified  # one of its watches in each namespace
            silence[name] = max(round(reflector.silence), silence.get(name, 0))
        deaf = [name for name, seconds in silence.items() if seconds > _DEAF_AFTER]
        if deaf:
            raise RuntimeError(f"nothing heard of {', '.join(deaf)} for {_DEAF_AFTER:g} s")
        if any(task.done() for task in self._tasks):
            raise RuntimeError("a worker has ended")
        return silence

    def _on_ours(self, resource: ApiResource, body: Json, deleted: bool) -> None:
        cache, queue = self._ctx.cache, self._ctx.queue
        if not deleted:
            if key := cache.objects.put(resource.kind, body):
                queue.add(key)
            return
        key = cache.objects.delete(resource.kind, body)
        queue.add(key)
        for dependent in cache.objects.dependents(key):
            queue.add(dependent)

    def _on_child(self, resource: ApiResource, body: Json, deleted: bool) -> None:
        cache, queue = self._ctx.cache, self._ctx.queue
        if resource is JOBS:
            key = cache.build_jobs.delete(body["metadata"]["name"]) if deleted else cache.build_jobs.put(body)
        elif resource is PODS:
            key = None if deleted else self._on_build_pod(body)
        elif resource is REVISIONS:
            # A record that was written here is no news; one that somebody deleted is, and one whose writer
            # was killed or did not hear the answer.
            if deleted:
                if key := cache.revisions.delete(body):
                    cache.objects.mark_stale(key)
            else:
                record = cache.revisions.put(body)
                key = None
                if record and not cache.pending_writes.is_creating(
                    REVISIONS, record.key.namespace, record.name
                ):
                    key = record.key
                for dependent in cache.objects.dependents(record.key) if record else ():
                    queue.add(dependent)
        elif deleted:
            cache.children.delete(resource, body)
            key = self._owner(resource, body)
            cache.objects.mark_stale(key)
        else:
            key = cache.children.put(resource, body)
        if key:
            queue.add(key)

    def _on_build_pod(self, body: Json) -> Key | None:
        job = body["metadata"]["labels"][JOB_NAME]
        if terminated(body).get("exitCode") == 0:
            return self._ctx.cache.build_jobs.mark_complete(job)
        if is_running(body):
            self._ends.watch(body["metadata"]["name"], job)
        return None

    def _on_pushed(self, job: str) -> None:
        if key := self._ctx.cache.build_jobs.mark_pushed(job):
            self._ctx.queue.add(key)

    @staticmethod
    def _owner(resource: ApiResource, body: Json) -> Key:
        name = body["metadata"]["name"]
        return Key(
            SERVICE.name,
            body["metadata"]["namespace"],
            service_of_keys(name) if resource is SECRETS else name,
        )

    async def _work(self) -> None:
        queue = self._ctx.queue
        while True:
            key = await queue.get()
            QUEUE_DEPTH.set(len(queue))
            started = time.perf_counter()
            try:
                after = await self._reconcile(key)
            except (Conflict, Forbidden, NotFound, Unavailable) as error:
                if isinstance(error, NotFound):
                    self._ctx.cache.objects.mark_stale(
                        key
                    )  # what it lives in may have gone, and itself with it
                _LOG.warning("%s: %s; again in %.1f s", key, error, queue.retry(key))
            except Exception:
                RECONCILE_ERRORS.labels(kind=key.kind).inc()
                _LOG.exception("%s; again in %.1f s", key, queue.retry(key))
            else:
                queue.forget(key)
                if after is not None:
                    queue.add_after(key, after)
            finally:
                queue.done(key)
                RECONCILE_SECONDS.labels(kind=key.kind).observe(time.perf_counter() - started)

    async def _reconcile(self, key: Key) -> float | None:
        item = await self._item(key)
        if item is None or item.deleting:
            if key.kind == IMAGE.name:
                await image.cancel_builds(self._ctx, key)
            return None
        cache = self._ctx.cache
        try:
            outcome = await _RECONCILERS[key.kind](self._ctx, item)
        except ValidationError as error:
            outcome = failed(
                "InvalidSpec", _sentence(error), cache.revisions.newest(key), **previous_fields(item)
            )
        except NameTaken as error:
            again = {"requeue_after": _TAKEN_PAUSE, **previous_fields(item)}
            outcome = failed("NameTaken", str(error), cache.revisions.newest(key), **again)
        except NamespaceTerminating:
            return None  # the object goes with its namespace: nothing is left to do, or to say
        except Rejected as error:
            if isinstance(error, Forbidden) and self._ctx.queue.failures(key) < _DENIALS:
                raise
            message = f"the API server refused what this object needs: {error.message}"
            outcome = failed(
                error.reason or "Refused",
                message,
                cache.revisions.newest(key),
                requeue_after=_REFUSED_PAUSE,
                **previous_fields(item),
            )
        outcome = gate_readiness(cache, outcome)
        await write_status(self._ctx, item, outcome)
        return outcome.requeue_after

    async def _item(self, key: Key) -> CustomObject | None:
        """One of our objects, looked at when it is doubtful.

        Each resource has its own watch: that a child has gone may be told before its owner has, and the child
        would be made again and collected again.
        """
        cache = self._ctx.cache
        item = cache.objects.get(key)
        if item is None or not item.needs_refetch:
            return item
        live = await self._ctx.client.get_or_none(CUSTOM_RESOURCES[key.kind], key.namespace, key.name)
        item.needs_refetch = False
        if cache.objects.get(key) is None:
            return None  # its end was told meanwhile, and nobody would tell of it again
        if live:
            cache.objects.put(key.kind, live)
        else:
            gone = {"metadata": {"namespace": key.namespace, "name": key.name}}
            self._on_ours(CUSTOM_RESOURCES[key.kind], gone, deleted=True)
        return cache.objects.get(key)

    async def _resync(self) -> None:
        """Reconcile all objects again, and ask for children that no watch tells of; spread over the period.

        What is watched is not asked for: that would be most of what an idle operator costs.
        """
        while True:
            keys = self._ctx.cache.objects.keys()
            pause = self._ctx.settings.resync_seconds / max(len(keys), 1)
            for key in keys:
                await asyncio.sleep(pause)
                self._ctx.cache.children.invalidate(_NOT_WATCHED, key.namespace, (key.name,))
                self._ctx.queue.add(key)
            if not keys:
                await asyncio.sleep(pause)


async def _until_synced(reflector: Reflector, task: asyncio.Task[None]) -> None:
    """Wait for the first list; what ends the watch before that is raised here."""
    synced = asyncio.ensure_future(reflector.synced.wait())
    await asyncio.wait({synced, task}, return_when=asyncio.FIRST_COMPLETED)
    if task.done():
        synced.cancel()
        task.result()


def _sentence(error: ValidationError) -> str:
    """The first thing that is wrong, with its field."""
    first = error.errors()[0]
    return f"spec.{'.'.join(map(str, first['loc']))}: {first['msg']}"
