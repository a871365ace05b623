"""The client: raw JSON in and out, with retries, pages and watches. Answers to writes are metadata only.

The generated classes of kubernetes.aio cost a decoded object several times what the request costs, and its
aiohttp three times what the transport beside this file costs; its configuration and authentication are used.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import AsyncGenerator, AsyncIterator
from typing import Any, Final

import orjson
from kubernetes.aio import config
from kubernetes.aio.client import Configuration

from modelyard.kube.errors import KubeError, NotFound, Unavailable, from_status
from modelyard.kube.transport import JSON, Answer, Request, Transport, TransportError
from modelyard.kube.types import PODS, ApiResource, Json
from modelyard.metrics import API_WRITES

METADATA_ONLY: Final = "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1"
METADATA_LIST: Final = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1"
MERGE_PATCH: Final = "application/merge-patch+json"

_TRIES: Final = 4
_BACKOFF: Final = 0.2  # seconds before the second try; doubled each time, with jitter
_LONGEST_WAIT: Final = 5.0  # seconds, whatever Retry-After says: the queue waits longer than that
_PAGE: Final = 500  # objects
# A watch ends by itself after this many seconds; an idle one brings a bookmark every minute.
_WATCH_SECONDS: Final = 240


class Client:
    """One connection pool to one API server."""

    def __init__(self, configuration: Configuration):
        self._transport = Transport(configuration)

    @classmethod
    async def from_environment(cls) -> Client:
        """A client of the pod's service account, or of KUBECONFIG outside a cluster."""
        configuration = Configuration()
        try:
            config.load_incluster_config(client_configuration=configuration)
        except config.ConfigException:
            await config.load_kube_config(client_configuration=configuration)
        return cls(configuration)

    async def close(self) -> None:
        """Close the connections."""
        await self._transport.close()

    async def get(self, resource: ApiResource, namespace: str, name: str) -> Json:
        """An object; NotFound when there is none."""
        return await self._json(Request("GET", resource.path(namespace, name)))

    async def get_or_none(self, resource: ApiResource, namespace: str, name: str) -> Json | None:
        """An object, or None."""
        try:
            return await self.get(resource, namespace, name)
        except NotFound:
            return None

    async def list_all(self, resource: ApiResource, namespace: str | None, **query: str) -> list[Json]:
        """All objects, page by page."""
        items, _ = await self.list_with_resource_version(resource, namespace, **query)
        return items

    async def list_with_resource_version(
        self, resource: ApiResource, namespace: str | None, accept: str = JSON, **query: str
    ) -> tuple[list[Json], str]:
        """All objects, and the resourceVersion to watch from."""
        items: list[Json] = []
        page: Json = {}
        while True:
            step = query | {"limit": str(_PAGE)} | ({"continue": token} if (token := _next(page)) else {})
            page = await self._json(Request("GET", resource.path(namespace), step, accept=accept))
            items.extend(page["items"] or ())  # an empty list of metadata is null
            if not _next(page):
                return items, page["metadata"]["resourceVersion"]

    async def create(self, resource: ApiResource, namespace: str, body: Json) -> Json:
        """POST an object; its metadata. AlreadyExists when the name is taken."""
        API_WRITES.labels("create", resource.qualified).inc()
        return await self._json(Request("POST", resource.path(namespace), body=body, accept=METADATA_ONLY))

    async def patch(
        self, resource: ApiResource, namespace: str, name: str, patch: Json, subresource: str | None = None
    ) -> Json:
        """JSON merge patch (RFC 7386) of an object or its subresource; the object's metadata."""
        API_WRITES.labels("patch", resource.qualified).inc()
        return await self._json(
            Request(
                "PATCH",
                resource.path(namespace, name, subresource),
                body=patch,
                content_type=MERGE_PATCH,
                accept=METADATA_ONLY,
            )
        )

    async def delete(self, resource: ApiResource, namespace: str, name: str, uid: str | None = None) -> None:
        """Delete an object, and what it owns in the background; nothing when it is not there."""
        API_WRITES.labels("delete", resource.qualified).inc()
        options: Json = {"propagationPolicy": "Background"}
        if uid:
            options["preconditions"] = {"uid": uid}
        with contextlib.suppress(NotFound):
            await self._json(Request("DELETE", resource.path(namespace, name), body=options))

    async def log(self, namespace: str, pod: str, **query: str) -> str:
        """The log of a pod's container, as text."""
        text = await self._bytes(Request("GET", PODS.path(namespace, pod, "log"), query))
        return text.decode(errors="replace")

    async def log_lines(self, namespace: str, pod: str, **query: str) -> AsyncGenerator[str, None]:
        """The lines of a container's log as it writes them, until it ends.

        Unavailable when the connection breaks, or no line comes for 90 s.
        """
        request = Request("GET", PODS.path(namespace, pod, "log"), query | {"follow": "true"})
        async with self._lines(request, f"the log of {pod}") as lines:
            async for line in lines:
                yield line.decode(errors="replace")

    async def watch(
        self, resource: ApiResource, namespace: str | None, version: str, accept: str = JSON, **query: str
    ) -> AsyncIterator[Json]:
        """Events from a resourceVersion on, bookmarks included, until the server ends the watch.

        Gone when the version has expired; Unavailable when the connection breaks or falls silent.
        """
        query |= {
            "watch": "1",
            "allowWatchBookmarks": "true",
            "resourceVersion": version,
            "timeoutSeconds": str(_WATCH_SECONDS),
        }
        request = Request("GET", resource.path(namespace), query, accept=accept)
        async with self._lines(request, f"the watch of {resource.qualified}") as lines:
            async for line in lines:
                event: Json = orjson.loads(line)
                if event["type"] == "ERROR":
                    raise from_status(event["object"].get("code", 500), event["object"], None)
                yield event

    @contextlib.asynccontextmanager
    async def _lines(self, request: Request, what: str) -> AsyncIterator[AsyncIterator[bytes]]:
        """The lines of an answer as they come. Unavailable, which names `what`, when they break off."""
        try:
            async with self._transport.stream(request) as answer:
                if isinstance(answer, Answer):
                    raise _error(answer)
                yield answer
        except TransportError as error:
            raise Unavailable(f"{what} broke: {error}") from error

    async def _json(self, request: Request) -> Json:
        """The answer, decoded."""
        answer: Json = orjson.loads(await self._bytes(request))
        return answer

    async def _bytes(self, request: Request) -> bytes:
        """The answer as it comes, after further tries of what may pass by itself."""
        # Each write names its object: repeating one that got through ends in AlreadyExists or no change.
        wait = _BACKOFF
        for attempt in range(_TRIES):
            try:
                return await self._once(request)
            except Unavailable as error:
                if attempt == _TRIES - 1:
                    raise
                wanted = error.retry_after or wait * random.uniform(0.5, 1.5)  # noqa: S311
            await asyncio.sleep(min(wanted, _LONGEST_WAIT))
            wait *= 2
        raise AssertionError("unreachable")

    async def _once(self, request: Request) -> bytes:
        """The body of an answer that is success; KubeError when it is not."""
        try:
            answer = await self._transport.send(request)
        except TransportError as error:
            message = f"{request.method} {request.path}: the API server did not answer: {error}"
            raise Unavailable(message) from error
        if answer.status >= 400:
            raise _error(answer)
        return answer.body


def _next(page: Json) -> str:
    return str(page.get("metadata", {}).get("continue", ""))


def _error(answer: Answer) -> KubeError:
    try:
        body: Any = orjson.loads(answer.body)
    except orjson.JSONDecodeError:
        body = {"message": answer.body.decode(errors="replace")[:500]}
    return from_status(answer.status, body if isinstance(body, dict) else {}, answer.retry_after)
