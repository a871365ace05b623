"""The controller: its parts, started in order."""

from __future__ import annotations

import asyncio
import logging
from typing import Final

from modelyard.api.kinds import Kind
from modelyard.controller.autoscaler_sweep import AutoscalerSweep
from modelyard.controller.children import WATCH_STALE_SECONDS, ChildWatches
from modelyard.controller.collection_poll import CollectionPoll, ReadState
from modelyard.controller.custom_objects import CustomObjects
from modelyard.controller.namespaces import Namespaces
from modelyard.controller.pod_sweep import SWEEP_SECONDS, PodSweep
from modelyard.controller.resync import resync
from modelyard.controller.route_watches import RouteWatches
from modelyard.controller.worker import Worker
from modelyard.kube.errors import KubeError
from modelyard.kube.types import Json
from modelyard.reconcile.context import Context

_LOG: Final = logging.getLogger(__name__)
_SUPERVISION_SECONDS: Final = 30.0


class Controller:
    """Everything between kopf's events and the reconcilers; one in each process."""

    def __init__(
        self,
        ctx: Context,
        read_collector: ReadState,
        *,
        supervision_seconds: float = _SUPERVISION_SECONDS,
        sweep_seconds: float = SWEEP_SECONDS,
    ):
        """`supervision_seconds` is the time between two looks at the watches, `sweep_seconds` at pods."""
        self._ctx = ctx
        self._supervision_seconds = supervision_seconds
        self._tasks: list[asyncio.Task[None]] = []
        self._has_started = False
        self.namespaces = Namespaces(ctx)
        self.custom_objects = CustomObjects(ctx, self.namespaces)
        self.children = ChildWatches(ctx, self.namespaces)
        self.routes = RouteWatches(ctx, self.namespaces, self.children)
        self.pods = PodSweep(ctx, self.namespaces, seconds=sweep_seconds)
        self.collection = CollectionPoll(ctx, self.namespaces, read_collector)
        self.autoscalers = AutoscalerSweep(ctx, self.namespaces, seconds=2 * sweep_seconds)
        self.worker = Worker(ctx, self.custom_objects, self.namespaces)

    async def start(self) -> None:
        """Fill the cache, then start the workers: no reconcile sees an incomplete state.

        After an error it leaves no task behind: kopf calls this method again.
        """
        try:
            await self._start()
        except BaseException:
            await self.stop()
            raise

    async def _start(self) -> None:
        ctx = self._ctx
        self.children.start()
        await self.children.sync()
        await self.routes.start()
        await self.custom_objects.load()
        for key in [*ctx.cache.objects.keys(), *ctx.cache.build_jobs.images()]:
            ctx.queue.add(key)
        work = [
            *(self.worker.run() for _ in range(ctx.settings.workers)),
            self.custom_objects.compare_after_lists(),
            resync(ctx, self.custom_objects),
            self.pods.run(),
            self.collection.run(),
            self.autoscalers.run(),
            self._supervise(),
        ]
        self._tasks = [asyncio.create_task(coroutine) for coroutine in work]
        self._has_started = True
        _LOG.info("watching %s", ", ".join(ctx.settings.watch_namespaces) or "all namespaces")

    async def stop(self) -> None:
        """Cancel all tasks; the next start continues their work."""
        self._has_started = False
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._tasks.clear()
        await self.children.close()

    def observe(self, kind: Kind, event_type: str | None, body: Json) -> None:
        """Take one of kopf's events of a custom object."""
        self.custom_objects.observe(kind, event_type, body)

    async def _supervise(self) -> None:
        """Restart silent watches, set denied namespaces aside and restore them, until cancelled."""
        while True:
            await self._ctx.sleep(self._supervision_seconds)
            await self.children.restart_silent()
            await self.routes.supervise()
            self.children.set_aside_denied()
            for namespace in self._ctx.settings.watch_namespaces:
                if self.namespaces.is_set_aside(namespace) and self.children.is_synced(namespace):
                    await self._restore(namespace)

    async def _restore(self, namespace: str) -> None:
        """Watch a namespace again once all its objects are in the cache, and queue them."""
        ctx = self._ctx
        try:
            await self.custom_objects.list_in(namespace)
        except KubeError as error:
            _LOG.warning("lists of namespace %s: %s; the namespace stays set aside", namespace, error)
            return
        self.namespaces.restore(namespace)
        for key in [*ctx.cache.objects.keys(), *ctx.cache.build_jobs.images()]:
            if key.namespace == namespace:
                # The object may have been deleted in the meantime, and no watch reports that.
                ctx.cache.objects.mark_stale(key)
                ctx.queue.add(key)

    def check_liveness(self) -> None:
        """Raise RuntimeError if only a new process can help: a task has ended, or kopf is stuck.

        An API server that is away is no reason: a new process could not work either.
        """
        if self.children.has_ended or any(task.done() for task in self._tasks):
            raise RuntimeError("a worker or a watch has ended")
        self.custom_objects.check_stuck()

    def check_readiness(self) -> dict[str, int]:
        """Return the seconds since the last event of each watch.

        Raises RuntimeError before the end of the start, and if a watch is stale, kopf is late, or all
        namespaces are set aside.
        """
        if not self._has_started:
            raise RuntimeError("the first lists are not complete")
        if not self.namespaces.active:
            raise RuntimeError("all namespaces of watchNamespaces are set aside")
        seconds = self.children.seconds_since_event()
        stale = [name for name, silence in seconds.items() if silence > WATCH_STALE_SECONDS]
        if stale:
            raise RuntimeError(f"no event or bookmark of {', '.join(stale)} for {WATCH_STALE_SECONDS:g} s")
        self.custom_objects.check_delay()
        return seconds
