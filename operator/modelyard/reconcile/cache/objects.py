"""The cache of Models, Manifests, Images and Services, with an index of their references."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from typing import Final, NamedTuple

import orjson

from modelyard.api.conditions import is_true
from modelyard.api.names import parse_version_reference
from modelyard.api.revision import REFERENCES, Revision, references_in
from modelyard.kube.types import Json, Key
from modelyard.reconcile.cache.pending_writes import PendingWrites
from modelyard.reconcile.objects import CustomObject

_MAX_SPEC_BYTES: Final = 16 * 1024  # of JSON


class Follower(NamedTuple):
    """A ready object that refers to a version."""

    key: Key
    version: int  # in its status
    ids: tuple[str, ...]  # of the versions that its status refers to


class ObjectCache:
    """Custom resources by key, and the objects that refer to each of them by name."""

    def __init__(self, pending_writes: PendingWrites) -> None:
        self._pending_writes = pending_writes
        self._objects: dict[Key, CustomObject] = {}
        self._dependents: dict[Key, set[Key]] = defaultdict(set)

    def get(self, key: Key) -> CustomObject | None:
        """Return a custom resource, None if it is not in the cluster."""
        return self._objects.get(key)

    def keys(self) -> list[Key]:
        """Return the keys of all custom resources."""
        return list(self._objects)

    def all(self) -> list[CustomObject]:
        """Return all custom resources."""
        return list(self._objects.values())

    def put(self, kind: str, body: Json) -> Key | None:
        """Store an object as the API server sent it; return its key if the change calls for a reconcile."""
        obj = CustomObject.read(kind, body)
        cached = self._objects.get(obj.key)
        # Resource versions also order a deleted object and its re-creation: a read or a write may have stored
        # a newer version than this event has.
        if cached and cached.resource_version >= obj.resource_version:
            return None
        self.drop_large_spec(obj)
        self._objects[obj.key] = obj
        if cached is None:
            self._link(obj)
            return obj.key
        if (cached.uid, cached.generation) != (obj.uid, obj.generation):  # each change of a spec counts
            self._unlink(cached)
            self._link(obj)
        else:
            obj.desired_hashes = cached.desired_hashes
        return obj.key if self._calls_for_reconcile(cached, obj) else None

    def delete(self, kind: str, body: Json) -> Key:
        """Remove a deleted object, unless a newer one of that name is cached; return its key."""
        metadata = body["metadata"]
        key = Key(kind, metadata["namespace"], metadata["name"])
        cached = self._objects.get(key)
        if cached and cached.uid == metadata.get("uid", cached.uid):
            self._unlink(cached)
            del self._objects[key]
        return key

    def drop_large_spec(self, obj: CustomObject) -> None:
        """Drop all of a large spec but its references; the worker reads the spec for each reconcile.

        A Manifest may have 1 MiB of inline files. The usual object has less than 2 kB.
        """
        if obj.has_whole_spec and len(orjson.dumps(obj.spec)) > _MAX_SPEC_BYTES:
            reference = REFERENCES.get(obj.key.kind)
            fields = (reference.field,) if reference else ()
            obj.spec = {field: obj.spec[field] for field in fields if field in obj.spec}
            obj.has_whole_spec = False

    def mark_stale(self, key: Key) -> None:
        """Let the next reconcile read an object from the API server before it uses the cached one."""
        if obj := self._objects.get(key):
            obj.needs_refetch = True

    def store_status(self, obj: CustomObject, status: Json, metadata: Json) -> None:
        """Store a status that was written, with the metadata of the response."""
        obj.status = status
        obj.resource_version = max(obj.resource_version, int(metadata["resourceVersion"]))

    def dependents(self, key: Key) -> list[Key]:
        """Return the keys of the objects that refer to an object by name, sorted."""
        return sorted(self._dependents.get(key, ()))

    def stalled_dependents(self, key: Key) -> Iterator[Key]:
        """Yield the keys of the stalled objects that refer to an object, directly or indirectly."""
        for dependent in self.dependents(key):
            if self._objects[dependent].has_condition("Stalled"):
                yield dependent
            yield from self.stalled_dependents(dependent)

    def ready_followers(self, revision: Revision) -> list[Follower]:
        """Return the ready objects that follow the newest revision, or refer to it by its id, by key.

        While a status is in flight, the API server may have the one before it or already the new one. So an
        object that is ready in both counts twice.
        """
        followers: list[Follower] = []
        for key in self.dependents(revision.key):
            obj = self._objects[key]
            # A reference to another fixed version (`name:version`) does not follow.
            if obj.deleting or not {revision.key.name, revision.id} & set(references_in(key.kind, obj.spec)):
                continue
            statuses = (obj.status, self._pending_writes.status(key) or {})
            followers += [
                Follower(key, status["version"], references_in(key.kind, status))
                for status in statuses
                if is_true("Ready", status)
            ]
        return followers

    def _calls_for_reconcile(self, cached: CustomObject, obj: CustomObject) -> bool:
        if cached.uid != obj.uid or cached.generation != obj.generation:
            return True
        if cached.registration != obj.registration or cached.deleting != obj.deleting:
            return True
        if cached.roll_on_upgrade != obj.roll_on_upgrade:
            return True
        # A status that the operator itself is writing may arrive as an event before the response does.
        return obj.status not in (cached.status, self._pending_writes.status(obj.key))

    def _link(self, obj: CustomObject) -> None:
        for target in _targets(obj):
            self._dependents[target].add(obj.key)

    def _unlink(self, obj: CustomObject) -> None:
        for target in _targets(obj):
            self._dependents[target].discard(obj.key)
            if not self._dependents[target]:
                del self._dependents[target]


def _targets(obj: CustomObject) -> set[Key]:
    """Return the keys of the objects that the spec of an object refers to."""
    if obj.key.kind not in REFERENCES:
        return set()
    names = (parse_version_reference(text).name for text in references_in(obj.key.kind, obj.spec))
    return {Key(REFERENCES[obj.key.kind].kind, obj.key.namespace, name) for name in names}
