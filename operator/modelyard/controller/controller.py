"""The controller: its parts, started in order."""

from __future__ import annotations

import asyncio
import logging
from typing import Final

from modelyard.api.kinds import Kind
from modelyard.controller.children import WATCH_STALE_SECONDS, ChildWatches
from modelyard.controller.custom_objects import CustomObjects
from modelyard.controller.resync import resync
from modelyard.controller.worker import Worker
from modelyard.kube.types import Json
from modelyard.reconcile.context import Context

_LOG: Final = logging.getLogger(__name__)


class Controller:
    """Everything between kopf's events and the reconcilers; one in each process."""

    def __init__(self, ctx: Context):
        self._ctx = ctx
        self._tasks: list[asyncio.Task[None]] = []
        self.custom_objects = CustomObjects(ctx)
        self.children = ChildWatches(ctx)
        self.worker = Worker(ctx, self.custom_objects)

    async def start(self) -> None:
        """Fill the cache, then start the workers: no reconcile sees an incomplete state."""
        ctx = self._ctx
        # kopf calls this method again after an error. Watches of the first call still run.
        self._tasks = self._tasks or self.children.start()
        await self.children.sync(self._tasks)
        await self.custom_objects.load()
        for key in [*ctx.cache.objects.keys(), *ctx.cache.build_jobs.images()]:
            ctx.queue.add(key)
        work = [
            *(self.worker.run() for _ in range(ctx.settings.workers)),
            self.custom_objects.compare_after_lists(),
            resync(ctx, self.custom_objects),
        ]
        self._tasks += [asyncio.create_task(coroutine) for coroutine in work]
        _LOG.info("watching %s", ", ".join(ctx.settings.watch_namespaces) or "all namespaces")

    async def stop(self) -> None:
        """Cancel all tasks; the next start continues their work."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self.children.close()
        await self._ctx.lookups.close()

    def observe(self, kind: Kind, event_type: str | None, body: Json) -> None:
        """Take one of kopf's events of a custom object."""
        self.custom_objects.observe(kind, event_type, body)

    def health(self) -> dict[str, int]:
        """Return the seconds since the last event of each watch.

        Raises RuntimeError if a watch is stale, kopf misses changes, or a task has ended.
        """
        seconds = self.children.seconds_since_event()
        stale = [name for name, silence in seconds.items() if silence > WATCH_STALE_SECONDS]
        if stale:
            raise RuntimeError(f"no event or bookmark of {', '.join(stale)} for {WATCH_STALE_SECONDS:g} s")
        self.custom_objects.check()
        if any(task.done() for task in self._tasks):
            raise RuntimeError("a worker or a watch has ended")
        return seconds
