"""Writes in flight: a watch may deliver their event before the API server's response arrives."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from modelyard.kube.types import ApiResource, Json, Key

ChildKey = tuple[str, str, str]  # plural, namespace, name


class PendingWrites:
    """Objects that the operator is creating, and statuses that it is writing, at this moment."""

    def __init__(self) -> None:
        self._creating: set[ChildKey] = set()
        self._statuses: dict[Key, Json] = {}

    @contextmanager
    def creating(self, resource: ApiResource, namespace: str, name: str) -> Iterator[None]:
        """Register the creation of a child or ControllerRevision while the context lasts."""
        key = (resource.plural, namespace, name)
        self._creating.add(key)
        try:
            yield
        finally:
            self._creating.discard(key)

    def is_creating(self, resource: ApiResource, namespace: str, name: str) -> bool:
        """Return True while the operator creates this object."""
        return (resource.plural, namespace, name) in self._creating

    @contextmanager
    def writing_status(self, key: Key, status: Json) -> Iterator[None]:
        """Register the status that is being written to a custom resource while the context lasts."""
        self._statuses[key] = status
        try:
            yield
        finally:
            del self._statuses[key]

    def status(self, key: Key) -> Json | None:
        """Return the status that is being written to a custom resource, None if no write is in flight."""
        return self._statuses.get(key)
