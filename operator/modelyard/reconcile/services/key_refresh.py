"""Refresh of the mounted keys of a Service: after a change of its Secret, its pods get an annotation.

A kubelet updates a mounted Secret in the next sync of the pod, about once a minute. A changed annotation
makes the kubelet sync the pod at once, with each of its strategies (Watch, Cache, Get):
https://kubernetes.io/docs/concepts/configuration/secret/#using-secrets-as-files-from-a-pod
The kubelet may learn of the pod's change before that of the Secret. So the annotation is written again 1 s
and 5 s after the change. The later rounds also reach pods that started during the change.
"""

from __future__ import annotations

import asyncio
import datetime as dt
import logging
from collections.abc import Awaitable, Callable
from typing import Final

from modelyard.api import labels
from modelyard.kube.client import METADATA_LIST
from modelyard.kube.errors import KubeError, NotFound
from modelyard.kube.interface import KubeClient
from modelyard.kube.types import DEPLOYMENTS, PODS, Json
from modelyard.metrics import KEY_REFRESHES
from modelyard.reconcile.cache.children import ChildCache
from modelyard.reconcile.objects import RolloutStatus
from modelyard.reconcile.timestamps import parse_timestamp

_LOG: Final = logging.getLogger(__name__)
_REPEATS: Final = (1.0, 5.0)  # seconds after the last change
_TICK_SECONDS: Final = 0.25  # between two rounds of a Service whose Secret changes again and again
_ROUNDS_AT_ONCE: Final = 8  # of different Services
_PATCHES_AT_ONCE: Final = 8  # within one round
# Older changes have reached all pods: the sync period of a kubelet is 1 minute, with a jitter of up to 50 %.
_RECENT: Final = dt.timedelta(seconds=120)

_Service = tuple[str, str]  # namespace and name


class KeyRefresher:
    """Annotates the pods of Services whose keys have changed, so that their kubelets mount the new keys."""

    def __init__(
        self,
        client: KubeClient,
        children: ChildCache,
        *,
        now: Callable[[], dt.datetime],
        sleep: Callable[[float], Awaitable[None]],
    ) -> None:
        self._client = client
        self._children = children
        self._now = now
        self._sleep = sleep
        self._started = False
        self._before_start: set[_Service] = set()
        self._changed: set[_Service] = set()  # again, since the last round began
        self._tasks: dict[_Service, asyncio.Task[None]] = {}
        self._slots = asyncio.Semaphore(_ROUNDS_AT_ONCE)

    def observe(self, secret: Json, *, is_newer: bool) -> None:
        """Take an event of a Secret with keys; `is_newer` than the cached one.

        Events do not show the data. So each change counts, also one of the metadata. A list shows no change:
        then the time of the last write decides, by the clocks of the API server and of the operator.
        """
        metadata = secret["metadata"]
        created = parse_timestamp(metadata["creationTimestamp"])
        changed = _last_change(metadata) or created
        if not is_newer and self._now() - changed > _RECENT:
            return
        service = metadata["namespace"], labels.service_of_keys(metadata["name"])
        if changed > created:
            if not self._started:
                self._before_start.add(service)  # the Deployment may not be cached yet
            elif self._rollout(service).replicas:
                self._add(service)
        elif self._started and self._rollout(service).ready:
            self._add(service)  # the Secret was deleted and created again: its pods have the old keys

    def start(self) -> None:
        """Begin with the changes of the time without an operator: all children are cached now."""
        self._started = True
        for service in self._before_start:
            if self._rollout(service).replicas:
                self._add(service)
        self._before_start.clear()

    async def close(self) -> None:
        """Cancel all rounds and wait for their end."""
        tasks = list(self._tasks.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _rollout(self, service: _Service) -> RolloutStatus:
        child = self._children.get(DEPLOYMENTS, *service)
        return child.rollout if child else RolloutStatus()

    def _add(self, service: _Service) -> None:
        if service in self._tasks:
            self._changed.add(service)
            return
        self._tasks[service] = task = asyncio.create_task(self._refresh(service))
        task.add_done_callback(lambda _: self._tasks.pop(service))

    async def _refresh(self, service: _Service) -> None:
        """Annotate the pods of a Service at once, and again after each of the pauses."""
        await self._round(service)
        waited, left = 0.0, list(_REPEATS)
        while left or service in self._changed:
            await self._sleep(_TICK_SECONDS)
            waited += _TICK_SECONDS
            if service in self._changed:
                waited, left = 0.0, list(_REPEATS)
            elif waited >= left[0]:
                del left[0]
            else:
                continue
            await self._round(service)

    async def _round(self, service: _Service) -> None:
        """Annotate all pods of a Service; a failure is logged, and the next round tries again."""
        namespace, name = service
        selector = labels.text_of(labels.selector_of(name))
        async with self._slots:
            self._changed.discard(service)
            try:
                pages = self._client.pages(PODS, namespace, accept=METADATA_LIST, labelSelector=selector)
                pods = [_running(page.items) async for page in pages]
                await self._annotate(namespace, [pod for page in pods for pod in page])
            except KubeError as error:
                KEY_REFRESHES.labels(result="failed").inc()
                _LOG.warning(
                    "pods of Service %s/%s have the new keys after about a minute, since they cannot be"
                    " annotated: %s",
                    namespace,
                    name,
                    error,
                )
            else:
                KEY_REFRESHES.labels(result="done").inc()

    async def _annotate(self, namespace: str, names: list[str]) -> None:
        """Annotate all pods. Raises KubeError, after the last pod, if the annotation of one failed."""
        time = self._now().astimezone(dt.UTC).isoformat(timespec="milliseconds")
        patch = {"metadata": {"annotations": {labels.KEYS_REFRESHED: time}}}
        errors: list[KubeError] = []
        for start in range(0, len(names), _PATCHES_AT_ONCE):
            batch = names[start : start + _PATCHES_AT_ONCE]
            results = await asyncio.gather(*(self._patch(namespace, name, patch) for name in batch))
            errors += [error for error in results if error]
        if errors:
            raise errors[0]

    async def _patch(self, namespace: str, name: str, patch: Json) -> KubeError | None:
        """Patch a pod and return the error, None also for a pod that was deleted after the list."""
        try:
            await self._client.patch(PODS, namespace, name, patch)
        except NotFound:
            return None
        except KubeError as error:
            return error
        return None


def _running(pods: list[Json]) -> list[str]:
    """Return the names of the pods that are not being deleted: kubelets mount nothing for the others."""
    return [pod["metadata"]["name"] for pod in pods if "deletionTimestamp" not in pod["metadata"]]


def _last_change(metadata: Json) -> dt.datetime | None:
    """Return the time of the last write of an object, in whole seconds; None without managedFields."""
    times = [entry["time"] for entry in metadata.get("managedFields", ()) if "time" in entry]
    return parse_timestamp(max(times)) if times else None
