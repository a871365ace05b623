"""The cache of children: Deployments, Secrets and other objects that the operator made for a Service."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from modelyard.api.owners import adoptable_by, owner_of
from modelyard.kube.types import AUTOSCALERS, ApiResource, Json, Key
from modelyard.reconcile.cache.pending_writes import ChildKey, PendingWrites
from modelyard.reconcile.cache.resource_versions import is_older
from modelyard.reconcile.objects import Child, RolloutStatus
from modelyard.reconcile.routes.route_status import RouteStatus

# Autoscalers have a generation since Kubernetes 1.37: https://github.com/kubernetes/kubernetes/pull/138228
_WITHOUT_GENERATION: Final = (AUTOSCALERS,)


class ChildCache:
    """Children by resource, namespace and name."""

    def __init__(self, pending_writes: PendingWrites) -> None:
        self._pending_writes = pending_writes
        self._children: dict[ChildKey, Child] = {}

    def get(self, resource: ApiResource, namespace: str, name: str) -> Child | None:
        """Return a child, None if it does not exist or has another controller.

        The child of an object that may adopt it has an empty `owner_uid`.
        """
        return self._children.get((resource.plural, namespace, name))

    def is_newer(self, resource: ApiResource, body: Json) -> bool:
        """Return True if a body is newer than the cached child of that name."""
        cached = self._cached(resource, body)
        return cached is not None and cached.resource_version < int(body["metadata"]["resourceVersion"])

    def put(self, resource: ApiResource, body: Json, *, trusted: bool = False) -> Key | None:
        """Store a child from a watch; return the key of its owner if the change calls for a reconcile.

        Another client may have created or changed a child that the cache did not have. The next reconcile
        compares such a child with the desired one, unless it is `trusted`.
        """
        owner = owner_of(body) or adoptable_by(body)
        if owner is None:
            return None
        cached = self._cached(resource, body)
        child = Child.read(owner, body, cached)
        if cached and cached.uid == child.uid:
            if not _has_new_content(cached, child):
                return None
            child.in_sync = cached.in_sync and _leaves_spec(resource, cached, child, body)
        namespace, name = body["metadata"]["namespace"], body["metadata"]["name"]
        is_creating = self._pending_writes.is_creating(resource, namespace, name)
        if cached is None or cached.uid != child.uid:
            child.in_sync = trusted or is_creating
        self._children[(resource.plural, namespace, name)] = child
        if cached is None and is_creating:
            return None
        is_same = cached is not None and _identity(cached) == _identity(child)
        return None if is_same and child.in_sync else Key(owner.kind, namespace, owner.name)

    def store_written(self, resource: ApiResource, body: Json, *, rolls: bool = False) -> None:
        """Store the response to a write of a child, or a live child that equals the desired one.

        `rolls` is True if the write changed the pod template of a Deployment.
        """
        owner = owner_of(body)
        if owner is None:
            return
        cached = self._cached(resource, body)
        child = Child.read(owner, body, cached)
        if cached and cached.uid == child.uid:
            child.resource_version = max(child.resource_version, cached.resource_version)
        if rolls:
            child.rollout = child.rollout._replace(template_generation=child.rollout.generation)
        self._children[_key(resource, body)] = child

    def delete(self, resource: ApiResource, body: Json) -> None:
        """Remove a deleted child, unless a newer one of that name is cached."""
        cached = self._cached(resource, body)
        if cached and not is_older(body["metadata"], cached.resource_version):
            del self._children[_key(resource, body)]

    def invalidate(self, resources: Iterable[ApiResource], namespace: str, names: Iterable[str]) -> None:
        """Let the next reconcile compare these live children with the desired ones."""
        names = tuple(names)
        for resource in resources:
            for name in names:
                if child := self.get(resource, namespace, name):
                    child.in_sync = False

    def invalidate_without_generation(self, namespace: str, name: str) -> None:
        """Let the next reconcile compare the live children whose events do not show a changed spec."""
        for resource in _WITHOUT_GENERATION:
            child = self.get(resource, namespace, name)
            if child and not child.rollout.generation:
                child.in_sync = False

    def _cached(self, resource: ApiResource, body: Json) -> Child | None:
        return self._children.get(_key(resource, body))


def _key(resource: ApiResource, body: Json) -> ChildKey:
    metadata = body["metadata"]
    return resource.plural, metadata["namespace"], metadata["name"]


def _identity(child: Child) -> tuple[str, str, RolloutStatus, RouteStatus]:
    return child.uid, child.owner_uid, child.rollout, child.route


def _has_new_content(cached: Child, child: Child) -> bool:
    """Return True if an event has something that the cached child has not."""
    if cached.resource_version == child.resource_version:
        # The response to the operator's own write has metadata only; its event has the status, too.
        return bool(child.rollout.observed) or child.route != cached.route
    return cached.resource_version < child.resource_version


def _leaves_spec(resource: ApiResource, cached: Child, child: Child, body: Json) -> bool:
    """Return True if an event shows no change of the spec by another client.

    The status of an autoscaler changes with each measurement, every 15 s.
    """
    if cached.resource_version == child.resource_version:
        return True
    generation = body["metadata"].get("generation")
    if generation is None:
        return resource in _WITHOUT_GENERATION
    return bool(generation == cached.rollout.generation)
