"""The calls of a Kubernetes client that the operator needs, as a type: tests pass an API server in memory."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Callable
from typing import Protocol

from modelyard.kube.transport import Encoder
from modelyard.kube.types import ApiResource, Json, Page


class KubeClient(Protocol):
    """A client of one API server. Every method raises a KubeError if the API server does not accept a call.

    `modelyard.kube.client.Client` describes each method.
    """

    async def get(self, resource: ApiResource, namespace: str, name: str) -> Json:
        """Return an object. Raises NotFound if there is none."""

    async def get_or_none(self, resource: ApiResource, namespace: str, name: str) -> Json | None:
        """Return an object, None if there is none."""

    async def list_all(self, resource: ApiResource, namespace: str | None, **query: str) -> list[Json]:
        """Return all objects of a namespace, or of all namespaces."""

    def pages(
        self, resource: ApiResource, namespace: str | None, accept: str = ..., **query: str
    ) -> AsyncIterator[Page]:
        """Yield all objects of a namespace, or of all namespaces, in pages of a bounded size."""

    async def create(self, resource: ApiResource, namespace: str, body: Json) -> Json:
        """Create an object and return its metadata. Raises AlreadyExists if the name is taken."""

    async def create_token(self, namespace: str, account: str, audience: str, seconds: int) -> str:
        """Return a new token of a ServiceAccount for one audience."""

    async def patch(
        self, resource: ApiResource, namespace: str, name: str, patch: Json, subresource: str | None = None
    ) -> Json:
        """Apply a JSON merge patch to an object or a subresource and return the object's metadata."""

    async def update(
        self, resource: ApiResource, namespace: str, name: str, body: Json, *, encode: Encoder = ...
    ) -> Json:
        """Replace an object and return its metadata. Raises Conflict if it has changed since it was read."""

    async def delete(
        self,
        resource: ApiResource,
        namespace: str,
        name: str,
        uid: str | None = None,
        *,
        resource_version: str | None = None,
    ) -> None:
        """Delete an object and, in the background, its dependents. Does nothing if there is none."""

    async def log(self, namespace: str, pod: str, **query: str) -> str:
        """Return the log of a pod's container."""

    def log_lines(self, namespace: str, pod: str, **query: str) -> AsyncGenerator[str, None]:
        """Yield the lines of a container's log until the container ends."""

    def watch(
        self,
        resource: ApiResource,
        namespace: str | None,
        version: str,
        accept: str = ...,
        *,
        on_open: Callable[[], None] = ...,
        **query: str,
    ) -> AsyncIterator[Json]:
        """Yield the events after a resourceVersion until the API server ends the watch.

        `on_open` is called when the API server has accepted the watch.
        """
