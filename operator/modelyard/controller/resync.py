"""Resync: find changes that no event shows, spread over a period."""

from __future__ import annotations

import datetime as dt
from typing import Final

from modelyard.api.kinds import SERVICE
from modelyard.api.labels import keys_name
from modelyard.controller.custom_objects import CustomObjects
from modelyard.kube.types import (
    AUTOSCALERS,
    CORE_SERVICES,
    DEPLOYMENTS,
    DISRUPTION_BUDGETS,
    HTTP_ROUTES,
    INGRESSES,
    SECRETS,
    Key,
)
from modelyard.reconcile.context import Context

# Two reads for each Service in this time cost little, and end any error of the cache.
_COMPARE_ALL_EVERY: Final = dt.timedelta(hours=6)
_ALL_CHILDREN: Final = (
    AUTOSCALERS,
    DISRUPTION_BUDGETS,
    DEPLOYMENTS,
    CORE_SERVICES,
    SECRETS,
    HTTP_ROUTES,
    INGRESSES,
)


async def resync(ctx: Context, custom_objects: CustomObjects) -> None:
    """Queue each object once in `resync_seconds`, for as long as the process runs.

    The first resync after the start fetches and compares all children of each Service: other clients may have
    changed them while no operator ran. So does one resync each 6 h. Any other resync fetches only the
    children whose events do not show a changed spec. To fetch all of them was most of the cost of an idle
    operator. Each period ends with one comparison of the four kinds.
    """
    compared_all: dt.datetime | None = None
    while True:
        began = ctx.now()
        compares_all = compared_all is None or began - compared_all >= _COMPARE_ALL_EVERY
        keys = ctx.cache.objects.keys()
        pause = ctx.settings.resync_seconds / max(len(keys), 1)
        for key in keys:
            await ctx.sleep(pause)
            _invalidate_children(ctx, key, compares_all=compares_all)
            ctx.queue.add(key)
        if not keys:
            await ctx.sleep(pause)
        if compares_all:
            compared_all = began
        await custom_objects.compare_all()


def _invalidate_children(ctx: Context, key: Key, *, compares_all: bool) -> None:
    if key.kind != SERVICE.name:
        return
    if compares_all:
        ctx.cache.children.invalidate(_ALL_CHILDREN, key.namespace, (key.name, keys_name(key.name)))
    else:
        ctx.cache.children.invalidate_without_generation(key.namespace, key.name)
