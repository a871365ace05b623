"""Workers: take a key from the queue, reconcile its object, and report the outcome or try again later."""

from __future__ import annotations

import logging
import time
from collections.abc import Awaitable, Callable
from typing import Final

from pydantic import ValidationError

from modelyard.api.kinds import IMAGE, SERVICE
from modelyard.api.resources import CUSTOM_RESOURCES
from modelyard.controller.custom_objects import CustomObjects
from modelyard.controller.namespaces import Namespaces
from modelyard.kube.errors import Conflict, Forbidden, NamespaceTerminating, NotFound, Rejected, Unavailable
from modelyard.kube.types import Key
from modelyard.metrics import RECONCILE_ERRORS, RECONCILE_RETRIES, RECONCILE_SECONDS
from modelyard.reconcile import image, manifest, model, service
from modelyard.reconcile.adoption import NameTaken
from modelyard.reconcile.context import Context
from modelyard.reconcile.history import limit_history
from modelyard.reconcile.objects import CustomObject
from modelyard.reconcile.outcome import Outcome, failed, name_taken
from modelyard.reconcile.readiness import gate_readiness, gate_stall
from modelyard.reconcile.revision_adoption import adopt_revisions, release_revisions
from modelyard.reconcile.status_writer import previous_fields, write_status

_LOG: Final = logging.getLogger(__name__)
_RECONCILERS: Final[dict[str, Callable[[Context, CustomObject], Awaitable[Outcome]]]] = {
    "Model": model.reconcile,
    "Manifest": manifest.reconcile,
    "Image": image.reconcile,
    "Service": service.reconcile,
}
# Denials in a row, within about a minute, before one is final: an API server that has not loaded RBAC yet
# denies everything.
_FINAL_DENIAL: Final = 8
_REJECTED_RETRY: Final = 60.0  # seconds until a request that the API server rejected is tried again


class Worker:
    """Reconciles one object at a time; several run side by side on one queue."""

    def __init__(self, ctx: Context, custom_objects: CustomObjects, namespaces: Namespaces):
        self._ctx = ctx
        self._namespaces = namespaces
        self._custom_objects = custom_objects

    async def run(self) -> None:
        """Work until cancelled."""
        queue = self._ctx.queue
        while True:
            key = await queue.get()
            started = time.perf_counter()
            try:
                seconds = await self.reconcile(key)
            except (Conflict, Forbidden, NotFound, Unavailable) as error:
                RECONCILE_RETRIES.labels(kind=key.kind).inc()
                if isinstance(error, NotFound):
                    # Its namespace may be gone, and the object with it.
                    self._ctx.cache.objects.mark_stale(key)
                _LOG.warning("%s: %s; retrying in %.1f s", key, error, queue.retry(key))
            except Exception:
                RECONCILE_ERRORS.labels(kind=key.kind).inc()
                _LOG.exception("%s; retrying in %.1f s", key, queue.retry(key))
            else:
                queue.forget(key)
                if seconds is not None:
                    queue.add_after(key, seconds)
            finally:
                queue.done(key)
                RECONCILE_SECONDS.labels(kind=key.kind).observe(time.perf_counter() - started)

    async def reconcile(self, key: Key) -> float | None:
        """Reconcile one object; return the seconds until its next reconcile, or None to wait for an event."""
        if self._namespaces.is_set_aside(key.namespace):
            return None  # the cache is incomplete; the return of the namespace queues all its objects
        obj = await self.current(key)
        if obj is None or obj.deleting:
            if key.kind == IMAGE.name:
                await image.cancel_builds(self._ctx, key)
            elif key.kind == SERVICE.name:
                service.forget(self._ctx, key)
            if obj and obj.orphaning:
                await release_revisions(self._ctx, obj)
            return None
        reads_spec = not obj.has_whole_spec
        if reads_spec and not await self._read_spec(obj):
            return None
        try:
            outcome = await self._outcome(obj)
        except NamespaceTerminating:
            return None  # the object is deleted with its namespace, and nothing can be created there
        finally:
            if reads_spec:
                self._ctx.cache.objects.drop_large_spec(obj)
        if outcome.keeps_status:
            return outcome.requeue_after
        outcome = gate_readiness(self._ctx.cache, obj, outcome)
        outcome = gate_stall(self._ctx.cache, obj, outcome)
        await write_status(self._ctx, obj, outcome)
        waits = (outcome.requeue_after, await limit_history(self._ctx, obj))
        return min((seconds for seconds in waits if seconds is not None), default=None)

    async def _outcome(self, obj: CustomObject) -> Outcome:
        """Return the reconciler's outcome; errors of the user or the cluster become a failed outcome."""
        key, cache = obj.key, self._ctx.cache
        try:
            await adopt_revisions(self._ctx, obj)
            return await _RECONCILERS[key.kind](self._ctx, obj)
        except NamespaceTerminating:
            raise
        except ValidationError as error:
            return failed(
                "InvalidSpec", _sentence(error), cache.revisions.newest(key), **previous_fields(obj)
            )
        except NameTaken as error:
            return name_taken(error, cache.revisions.newest(key), **previous_fields(obj))
        except Rejected as error:
            if isinstance(error, Forbidden) and self._ctx.queue.failures(key) < _FINAL_DENIAL:
                raise
            return failed(
                error.reason or "Refused",
                f"the API server rejected a request for this object: {error.message}",
                cache.revisions.newest(key),
                requeue_after=_REJECTED_RETRY,
                **previous_fields(obj),
            )

    async def _read_spec(self, obj: CustomObject) -> bool:
        """Read a spec that the cache does not hold; return False, and queue the key, if it has changed.

        Raises NotFound if the object was deleted.
        """
        live = await self._ctx.client.get(CUSTOM_RESOURCES[obj.key.kind], obj.key.namespace, obj.key.name)
        metadata = live["metadata"]
        if (metadata["uid"], metadata["generation"]) != (obj.uid, obj.generation):
            self._ctx.cache.objects.put(obj.key.kind, live)
            self._ctx.queue.add(obj.key)
            return False
        obj.spec, obj.has_whole_spec = live["spec"], True
        return True

    async def current(self, key: Key) -> CustomObject | None:
        """Return an object from the cache, fetched from the API server first if it may be stale.

        Each resource has its own watch. The deletion of a child may be reported before that of its owner; the
        child would be created, and garbage-collected, once more.
        """
        cache = self._ctx.cache
        obj = cache.objects.get(key)
        if obj is None or not obj.needs_refetch:
            return obj
        live = await self._ctx.client.get_or_none(CUSTOM_RESOURCES[key.kind], key.namespace, key.name)
        obj.needs_refetch = False
        if cache.objects.get(key) is None:
            return None  # the watch reported the deletion during the request, and reports it only once
        if live:
            cache.objects.put(key.kind, live)
        else:
            self._custom_objects.remove(
                key.kind, {"metadata": {"namespace": key.namespace, "name": key.name}}
            )
        return cache.objects.get(key)


def _sentence(error: ValidationError) -> str:
    """Return the first problem of a spec, with its field."""
    first = error.errors()[0]
    return f"spec.{'.'.join(map(str, first['loc']))}: {first['msg']}"
