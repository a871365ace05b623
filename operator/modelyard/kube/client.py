"""The client: kubernetes.aio's configuration, authentication and connection pool, raw JSON in and out.

The generated classes of kubernetes.aio cost a decoded object several times what the request costs, so only
its transport is used. Answers to writes are metadata only.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import AsyncIterator, Mapping
from typing import Any, Final, NamedTuple
from urllib.parse import urlencode

import aiohttp
import orjson
from kubernetes.aio import config
from kubernetes.aio.client import Configuration
from kubernetes.aio.client.rest import RESTClientObject
from yarl import URL

from modelyard.kube.errors import KubeError, NotFound, Unavailable, from_status
from modelyard.kube.types import PODS, ApiResource, Json
from modelyard.metrics import API_WRITES

METADATA_ONLY: Final = "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1"
METADATA_LIST: Final = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1"
MERGE_PATCH: Final = "application/merge-patch+json"

_JSON: Final = "application/json"
_USER_AGENT: Final = "modelyard"  # the field manager, too: https://kubernetes.io/docs/reference/using-api/server-side-apply/#managers
_TIMEOUT: Final = aiohttp.ClientTimeout(total=30, connect=5)
_TRIES: Final = 4
_BACKOFF: Final = 0.2  # seconds before the second try; doubled each time, with jitter
_LONGEST_WAIT: Final = 5.0  # seconds, whatever Retry-After says: the queue waits longer than that
_PAGE: Final = 500  # objects
# A watch ends by itself after this many seconds; an idle one brings a bookmark every minute.
_WATCH_SECONDS: Final = 240
_SILENCE: Final = 90  # seconds without an event or a bookmark: the connection is dead


class _Request(NamedTuple):
    """What is asked of the API server."""

    method: str
    path: str
    query: Mapping[str, str] = {}
    body: Json | None = None
    content_type: str = _JSON
    accept: str = _JSON


class Client:
    """One connection pool to one API server."""

    def __init__(self, configuration: Configuration, connections: int = 32):
        configuration.connection_pool_maxsize = connections
        # The configuration knows the proxy; trust_env would read ~/.netrc in a thread for each request, a
        # quarter of the operator's CPU time.
        configuration.client_session_kwargs = {"trust_env": False}
        self._configuration = configuration
        self._transport = RESTClientObject(configuration)
        self._session: aiohttp.ClientSession | None = None

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
        if self._session:
            await self._session.close()

    async def get(self, resource: ApiResource, namespace: str, name: str) -> Json:
        """An object; NotFound when there is none."""
        return await self._json(_Request("GET", resource.path(namespace, name)))

    async def find(self, resource: ApiResource, namespace: str, name: str) -> Json | None:
        """An object, or None."""
        try:
            return await self.get(resource, namespace, name)
        except NotFound:
            return None

    async def list_all(self, resource: ApiResource, namespace: str | None, **query: str) -> list[Json]:
        """All objects, page by page."""
        items, _ = await self.list_with_version(resource, namespace, **query)
        return items

    async def list_with_version(
        self, resource: ApiResource, namespace: str | None, accept: str = _JSON, **query: str
    ) -> tuple[list[Json], str]:
        """All objects, and the resourceVersion to watch from."""
        items: list[Json] = []
        page: Json = {}
        while True:
            step = query | {"limit": str(_PAGE)} | ({"continue": token} if (token := _next(page)) else {})
            page = await self._json(_Request("GET", resource.path(namespace), step, accept=accept))
            items.extend(page["items"] or ())  # an empty list of metadata is null
            if not _next(page):
                return items, page["metadata"]["resourceVersion"]

    async def create(self, resource: ApiResource, namespace: str, body: Json) -> Json:
        """POST an object; its metadata. AlreadyExists when the name is taken."""
        API_WRITES.labels("create", resource.qualified).inc()
        return await self._json(_Request("POST", resource.path(namespace), body=body, accept=METADATA_ONLY))

    async def merge(
        self, resource: ApiResource, namespace: str, name: str, patch: Json, subresource: str | None = None
    ) -> Json:
        """JSON merge patch (RFC 7386) of an object or its subresource; the object's metadata."""
        API_WRITES.labels("patch", resource.qualified).inc()
        return await self._json(
            _Request(
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
            await self._json(_Request("DELETE", resource.path(namespace, name), body=options))

    async def log(self, namespace: str, pod: str, **query: str) -> str:
        """The log of a pod's container, as text."""
        text = await self._bytes(_Request("GET", PODS.path(namespace, pod, "log"), query))
        return text.decode(errors="replace")

    async def watch(
        self, resource: ApiResource, namespace: str | None, version: str, accept: str = _JSON, **query: str
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
        request = _Request("GET", resource.path(namespace), query, accept=accept)
        timeout = aiohttp.ClientTimeout(total=None, connect=5, sock_read=_SILENCE)
        try:
            async with await self._answer(request, timeout) as answer:
                async for line in answer.content:
                    event: Json = orjson.loads(line)
                    if event["type"] == "ERROR":
                        raise from_status(event["object"].get("code", 500), event["object"], None)
                    yield event
        except (aiohttp.ClientError, TimeoutError) as error:
            raise Unavailable(f"the watch of {resource.qualified} broke: {error!r}") from error

    async def _json(self, request: _Request) -> Json:
        """The answer, decoded."""
        answer: Json = orjson.loads(await self._bytes(request))
        return answer

    async def _bytes(self, request: _Request) -> bytes:
        """The answer as it comes, after further tries of what may pass by itself."""
        # Each write names its object: repeating one that got through ends in AlreadyExists or no change.
        wait = _BACKOFF
        for attempt in range(_TRIES):
            try:
                async with await self._answer(request, _TIMEOUT) as answer:
                    return await answer.read()
            except (Unavailable, aiohttp.ClientError, TimeoutError) as error:
                if attempt == _TRIES - 1:
                    raise _unavailable(request, error) from error
                asked = error.retry_after if isinstance(error, Unavailable) else None
                await asyncio.sleep(min(asked or wait * random.uniform(0.5, 1.5), _LONGEST_WAIT))  # noqa: S311
                wait *= 2
        raise AssertionError("unreachable")

    async def _answer(self, request: _Request, timeout: aiohttp.ClientTimeout) -> aiohttp.ClientResponse:
        """The answer, its body still to be read; KubeError when it is not success."""
        if self._session is None:
            self._session = self._transport._create_pool_manager()
        configuration = self._configuration
        headers = {"Accept": request.accept, "Content-Type": request.content_type, "User-Agent": _USER_AGENT}
        if token := await configuration.get_api_key_with_prefix("BearerToken", alias="authorization"):
            headers["Authorization"] = token
        query = f"?{urlencode(request.query)}" if request.query else ""
        answer = await self._session.request(
            request.method,
            # Names of objects need no quoting, and quoting takes time.
            URL(configuration.host + request.path + query, encoded=True),
            data=orjson.dumps(request.body) if request.body is not None else None,
            headers=headers,
            timeout=timeout,
            proxy=configuration.proxy,
        )
        if answer.status < 400:
            return answer
        async with answer:
            raise await _error(answer)


def _next(page: Json) -> str:
    return str(page.get("metadata", {}).get("continue", ""))


def _unavailable(request: _Request, error: Exception) -> Unavailable:
    if isinstance(error, Unavailable):
        return error
    return Unavailable(f"{request.method} {request.path}: the API server did not answer: {error!r}")


async def _error(answer: aiohttp.ClientResponse) -> KubeError:
    text = await answer.read()
    try:
        body: Any = orjson.loads(text)
    except orjson.JSONDecodeError:
        body = {"message": text.decode(errors="replace")[:500]}
    seconds = answer.headers.get("Retry-After", "")
    retry_after = float(seconds) if seconds.isdigit() else None
    return from_status(answer.status, body if isinstance(body, dict) else {}, retry_after)
