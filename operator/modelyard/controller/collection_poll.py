"""Poll of the side-cars that collect records, for the condition DataCollection of Services.

Only Services with the feature are polled. A Service is queued if its condition changes, so the steady state
writes nothing.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from typing import Final

from modelyard.api import labels
from modelyard.api.kinds import SERVICE
from modelyard.api.service import ServiceSpec
from modelyard.controller.collector_client import CollectorError
from modelyard.controller.namespaces import Namespaces
from modelyard.kube.errors import KubeError
from modelyard.kube.types import DEPLOYMENTS, PODS, Key
from modelyard.metrics import COLLECTION_POLL_ERRORS
from modelyard.reconcile.collection_reports import (
    NO_COLLECTOR,
    Collector,
    CollectorState,
    running_collectors,
    summarize,
)
from modelyard.reconcile.context import Context
from modelyard.reconcile.objects import CustomObject
from modelyard.resources.collection import is_offered

_LOG: Final = logging.getLogger(__name__)
_CONCURRENT: Final = 8  # Services that are asked at the same time
_MAX_PODS: Final = 50  # of one Service; the others are not asked

ReadState = Callable[[str], Awaitable[CollectorState]]
"""Return the state of the side-car at an IP address. Raises CollectorError."""


class CollectionPoll:
    """Asks the side-cars of all Services that collect records, and stores their reports."""

    def __init__(self, ctx: Context, namespaces: Namespaces, read_state: ReadState):
        self._ctx = ctx
        self._namespaces = namespaces
        self._read_state = read_state

    async def run(self) -> None:
        """Poll for as long as the process runs."""
        seconds = self._ctx.settings.data_collection.poll_seconds
        while True:
            began = time.monotonic()
            await self._poll()
            await self._ctx.sleep(max(seconds, time.monotonic() - began))

    async def _poll(self) -> None:
        turns = asyncio.Semaphore(_CONCURRENT)

        async def ask(key: Key) -> None:
            async with turns:
                try:
                    await self._ask(key)
                except Exception:  # one Service must not end the poll of all others
                    COLLECTION_POLL_ERRORS.inc()
                    _LOG.exception("poll of the collectors of %s; it is repeated", key)

        await asyncio.gather(*(ask(key) for key in self._collecting()))

    def _collecting(self) -> list[Key]:
        objects = [obj for obj in self._ctx.cache.objects.all() if obj.key.kind == SERVICE.name]
        return [obj.key for obj in objects if self._collects(obj)]

    def _collects(self, obj: CustomObject) -> bool:
        collection = obj.spec.get("dataCollection")
        # Most Services have none: their whole spec is not validated each time.
        if not collection or self._namespaces.is_set_aside(obj.key.namespace):
            return False
        try:
            spec = ServiceSpec.model_validate(obj.spec)
        except ValueError:
            return False  # the status of the Service tells the reason
        return is_offered(spec, self._ctx.settings.data_collection)

    async def _ask(self, key: Key) -> None:
        selector = labels.text_of(labels.selector_of(key.name))
        try:
            pods = await self._ctx.client.list_all(PODS, key.namespace, labelSelector=selector)
        except KubeError as error:
            _LOG.warning("list of the pods of %s: %s; it is repeated", key, error)
            return
        answers = {pod: await self._answer(pod) for pod in running_collectors(pods)[:_MAX_PODS]}
        condition = summarize(answers)
        if condition[1] == NO_COLLECTOR and self._is_rolling(key):
            return  # the pods of the version before are about to be replaced
        if self._ctx.collection_reports.store(key, condition, self._ctx.now()):
            self._ctx.queue.add(key)

    def _is_rolling(self, key: Key) -> bool:
        child = self._ctx.cache.children.get(DEPLOYMENTS, key.namespace, key.name)
        return child is None or child.rollout.rolling

    async def _answer(self, pod: Collector) -> CollectorState | str:
        if not pod.address:
            return ""
        try:
            return await self._read_state(pod.address)
        except CollectorError as error:
            return str(error)
