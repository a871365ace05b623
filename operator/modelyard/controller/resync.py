"""Resync: find changes that no watch reports, spread over a period."""

from __future__ import annotations

from modelyard.controller.children import UNWATCHED
from modelyard.controller.custom_objects import CustomObjects
from modelyard.reconcile.context import Context


async def resync(ctx: Context, custom_objects: CustomObjects) -> None:
    """Queue each object once in `resync_seconds`, for as long as the process runs.

    Only the children that no watch covers are fetched again: fetching all of them was most of the cost of an
    idle operator. Each period ends with one comparison of the four kinds.
    """
    while True:
        keys = ctx.cache.objects.keys()
        pause = ctx.settings.resync_seconds / max(len(keys), 1)
        for key in keys:
            await ctx.sleep(pause)
            ctx.cache.children.invalidate(UNWATCHED, key.namespace, (key.name,))
            ctx.queue.add(key)
        if not keys:
            await ctx.sleep(pause)
        await custom_objects.compare_all()
