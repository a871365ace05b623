"""The Kubernetes client: raw JSON in and out, with retries, pages and watches.

The generated classes of kubernetes.aio take several times the CPU time of the request to decode an object.
"""

from __future__ import annotations

import asyncio
import contextlib
import copy
import time
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Final, Self

import orjson

from modelyard.backoff import Backoff
from modelyard.kube.canonical import canonical_json
from modelyard.kube.errors import Forbidden, Gone, KubeError, NotFound, Unavailable, from_status
from modelyard.kube.startup import StartupCheck
from modelyard.kube.transport import (
    JSON,
    Encoder,
    Request,
    Response,
    ResponseTooLargeError,
    Transport,
    TransportError,
)
from modelyard.kube.types import PODS, SERVICE_ACCOUNTS, ApiResource, Json, Page
from modelyard.metrics import API_WRITES

METADATA_ONLY: Final = "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1"
METADATA_LIST: Final = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1"
TABLE: Final = "application/json;as=Table;g=meta.k8s.io;v=v1"
"""The columns that kubectl prints. An item of a page has the cells of a row by the name of the column.

https://kubernetes.io/docs/reference/using-api/api-concepts/#receiving-resources-as-tables
"""
MERGE_PATCH: Final = "application/merge-patch+json"

# One object has up to 1.5 MiB, the default limit of etcd for a request. So the first page is small, and the
# sizes of its objects decide on the number of objects of the next page.
_FIRST_PAGE_OBJECTS: Final = 50
_PAGE_OBJECTS: Final = 500
_PAGE_BYTES: Final = 4 * 2**20
_SMALLER_PAGE: Final = 4  # a page that is too large is read again with a quarter of its objects
# The kubelet answers so, with 200, for a container that the runtime has removed.
# https://github.com/kubernetes/kubernetes/blob/master/pkg/kubelet/kuberuntime/kuberuntime_logs.go
_NO_LOG: Final = "unable to retrieve container logs for "
# The API server ends a watch after this time; it sends a bookmark on an idle watch each minute.
_WATCH_SECONDS: Final = 240
_STARTUP_PAUSE_SECONDS: Final = 0.3


@dataclass(frozen=True)
class RetryPolicy:
    """Which requests are repeated after Unavailable, how often, and after which waits."""

    attempts: int
    backoff: Backoff
    writes: bool = True  # repeat writes, too
    responses: bool = True  # repeat after a 429 or 5xx, too, and not only without a response

    def allows(self, request: Request, error: Unavailable, failures: int) -> bool:
        """Return whether a request that failed `failures` times is repeated."""
        if failures >= self.attempts:
            return False
        return (self.writes or request.method == "GET") and (self.responses or not error.status)


# Every write of the operator names its object: a repeated one that got through ends in AlreadyExists or in no
# change. Waits are at most five seconds, since the work queue then retries the object with longer waits.
OPERATOR_RETRIES: Final = RetryPolicy(
    attempts=4, backoff=Backoff(first_seconds=0.3, most_seconds=5.0, jitter=0.5)
)


class Client:
    """A client of one API server.

    It sends the credentials of the transport, or with `with_token` those of a caller. Methods raise a
    KubeError if the API server does not accept a call, and Unavailable if it does not respond.
    """

    def __init__(
        self,
        transport: Transport,
        *,
        retries: RetryPolicy = OPERATOR_RETRIES,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        monotonic: Callable[[], float] = time.monotonic,
    ):
        self._transport = transport
        self._retries = retries
        self._sleep = sleep
        self._monotonic = monotonic
        self._token: str | None = None
        self._startup = StartupCheck(transport)

    def with_token(self, token: str) -> Self:
        """Return a view with the bearer token of a caller, over the same connections.

        The view repeats a request that RBAC denies while the API server is starting.
        """
        view = copy.copy(self)
        view._token = token
        return view

    async def close(self) -> None:
        """Close the connections."""
        await self._transport.close()

    async def responds(self) -> bool:
        """Return whether the API server responds at all, be it with an error."""
        try:
            await self._transport.send(Request("GET", "/version"))
        except TransportError:
            return False
        return True

    async def get(
        self, resource: ApiResource, namespace: str | None, name: str, subresource: str | None = None
    ) -> Json:
        """Return an object or a subresource. Raises NotFound if there is none."""
        return await self._json(Request("GET", resource.path(namespace, name, subresource)))

    async def get_or_none(self, resource: ApiResource, namespace: str | None, name: str) -> Json | None:
        """Return an object, None if there is none."""
        try:
            return await self.get(resource, namespace, name)
        except NotFound:
            return None

    async def list_all(self, resource: ApiResource, namespace: str | None, **query: str) -> list[Json]:
        """Return all objects of a namespace, or of all namespaces."""
        return [item async for page in self.pages(resource, namespace, **query) for item in page.items]

    async def pages(
        self, resource: ApiResource, namespace: str | None, accept: str = JSON, **query: str
    ) -> AsyncIterator[Page]:
        """Yield all objects of a namespace, or of all namespaces, in pages of about 4 MiB.

        Raises Gone if the API server has forgotten the collection before the last page.
        """
        limit = _FIRST_PAGE_OBJECTS
        first = Request("GET", resource.path(namespace), query, accept=accept)
        token: str | None = None
        while True:
            page_query = query | {"limit": str(limit)} | ({"continue": token} if token else {})
            body = await self._body(first._replace(query=page_query))
            page = _page(body)
            token, limit = page.continue_token, page.next_limit
            del body
            yield page
            del page  # otherwise two decoded pages are in memory at the same time
            if token is None:
                return

    async def list_page(
        self,
        resource: ApiResource,
        namespace: str,
        limit: int,
        continue_token: str | None = None,
        selector: str | None = None,
    ) -> Page:
        """Return a page of at most `limit` objects and about 4 MiB, in the order of their names.

        The pages show the collection at the time of the first page. After some minutes the API server
        forgets it, and further pages show the current collection. An object that exists all the time comes
        exactly once. Raises Rejected if the token is not one of this collection.
        """
        query = {"labelSelector": selector} if selector else {}
        is_resumed = False
        while True:
            page_query = (
                query | {"limit": str(limit)} | ({"continue": continue_token} if continue_token else {})
            )
            max_bytes = _PAGE_BYTES if limit > 1 else None
            request = Request("GET", resource.path(namespace), page_query, max_bytes=max_bytes)
            try:
                return _page(await self._body(request))
            except ResponseTooLargeError:
                limit = max(1, limit // _SMALLER_PAGE)
            except Gone as error:
                # https://kubernetes.io/docs/reference/using-api/api-concepts/#retrieving-large-results-sets-in-chunks
                continue_token = error.body.get("metadata", {}).get("continue")
                if is_resumed or not continue_token:
                    raise
                is_resumed = True

    async def create(
        self, resource: ApiResource, namespace: str | None, body: Json, *, accept: str = METADATA_ONLY
    ) -> Json:
        """Create an object and return its metadata. Raises AlreadyExists if the name is taken."""
        API_WRITES.labels("create", resource.qualified).inc()
        return await self._json(Request("POST", resource.path(namespace), body=body, accept=accept))

    async def create_token(self, namespace: str, account: str, audience: str, seconds: int) -> str:
        """Return a new token of a ServiceAccount for one audience, valid for about `seconds` (at least 600).

        https://kubernetes.io/docs/reference/kubernetes-api/authentication-resources/token-request-v1/
        """
        spec = {"audiences": [audience], "expirationSeconds": seconds}
        body = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": spec}
        path = SERVICE_ACCOUNTS.path(namespace, account, "token")
        API_WRITES.labels("create", f"{SERVICE_ACCOUNTS.qualified}/token").inc()
        created = await self._json(Request("POST", path, body=body))
        return str(created["status"]["token"])

    async def patch(
        self,
        resource: ApiResource,
        namespace: str | None,
        name: str,
        patch: Json,
        subresource: str | None = None,
        *,
        accept: str = METADATA_ONLY,
    ) -> Json:
        """Apply a JSON merge patch (RFC 7386) to an object or a subresource and return the object's metadata.

        With `accept=JSON` it returns the whole object. Raises Conflict if the patch has a resourceVersion
        that is not the current one.
        """
        API_WRITES.labels("patch", resource.qualified).inc()
        path = resource.path(namespace, name, subresource)
        return await self._json(Request("PATCH", path, body=patch, content_type=MERGE_PATCH, accept=accept))

    async def update(
        self,
        resource: ApiResource,
        namespace: str,
        name: str,
        body: Json,
        *,
        encode: Encoder = canonical_json,
    ) -> Json:
        """Replace an object and return its metadata; `encode` makes the bytes of the body.

        Raises Conflict if the resourceVersion of the body is not the current one.
        """
        API_WRITES.labels("update", resource.qualified).inc()
        request = Request("PUT", resource.path(namespace, name), body=body, accept=METADATA_ONLY)
        return await self._json(request._replace(encode=encode))

    async def delete(
        self,
        resource: ApiResource,
        namespace: str,
        name: str,
        uid: str | None = None,
        *,
        resource_version: str | None = None,
        missing_ok: bool = True,
    ) -> None:
        """Delete an object and, in the background, its dependents.

        Raises NotFound if there is no such object, unless `missing_ok`. Raises Conflict if the object has
        another UID or resourceVersion than the arguments.
        """
        API_WRITES.labels("delete", resource.qualified).inc()
        options: Json = {"propagationPolicy": "Background"}
        preconditions = {"uid": uid, "resourceVersion": resource_version}
        if required := {field: value for field, value in preconditions.items() if value}:
            options["preconditions"] = required
        try:
            await self._json(Request("DELETE", resource.path(namespace, name), body=options))
        except NotFound:
            if not missing_ok:
                raise

    async def log(self, namespace: str, pod: str, **query: str) -> str:
        """Return the log of a pod's container, empty if the node has removed the container."""
        body = await self._body(Request("GET", PODS.path(namespace, pod, "log"), query))
        text = body.decode(errors="replace")
        return "" if text.startswith(_NO_LOG) else text

    async def log_lines(self, namespace: str, pod: str, **query: str) -> AsyncGenerator[str, None]:
        """Yield the lines of a container's log until the container ends.

        Raises Unavailable if the connection breaks, or no line comes for 90 s.
        """
        request = Request("GET", PODS.path(namespace, pod, "log"), query | {"follow": "true"})
        async with self._lines(request, f"the log of {pod}") as lines:
            async for line in lines:
                yield line.decode(errors="replace")

    async def watch(
        self,
        resource: ApiResource,
        namespace: str | None,
        version: str,
        accept: str = JSON,
        *,
        on_open: Callable[[], None] = lambda: None,
        **query: str,
    ) -> AsyncIterator[Json]:
        """Yield the events after a resourceVersion, with bookmarks, until the API server ends the watch.

        `on_open` is called when the API server has accepted the watch; the first event may be minutes later.

        Raises Gone if the resourceVersion has expired, and Unavailable if the connection breaks or is silent
        for 90 s.
        """
        query |= {
            "watch": "1",
            "allowWatchBookmarks": "true",
            "resourceVersion": version,
            "timeoutSeconds": str(_WATCH_SECONDS),
        }
        request = Request("GET", resource.path(namespace), query, accept=accept)
        async with self._lines(request, f"the watch of {resource.qualified}") as lines:
            on_open()
            async for line in lines:
                event: Json = orjson.loads(line)
                if event["type"] == "ERROR":
                    raise from_status(event["object"].get("code", 500), event["object"], None)
                yield event

    @contextlib.asynccontextmanager
    async def _lines(self, request: Request, stream: str) -> AsyncIterator[AsyncIterator[bytes]]:
        """Yield an iterator of a response's lines. Raises Unavailable if the connection breaks."""
        try:
            async with self._transport.stream(request._replace(token=self._token)) as response:
                if isinstance(response, Response):
                    raise _error(response)
                yield response
        except TransportError as error:
            raise Unavailable(f"{stream} broke: {error}") from error

    async def _json(self, request: Request) -> Json:
        """Return the decoded body of a successful response."""
        body: Json = orjson.loads(await self._body(request))
        return body

    async def _body(self, request: Request) -> bytes:
        """Return the body of a successful response, after retries if necessary."""
        failures = 0
        while True:
            try:
                return await self._send(request)
            except Unavailable as error:
                failures += 1
                if not self._retries.allows(request, error, failures):
                    raise
                wait = self._retries.backoff.seconds(failures, error.retry_after)
            await self._sleep(wait)

    async def _send(self, request: Request) -> bytes:
        """Send a request, and repeat a caller's request that an API server denies while it is starting."""
        if self._token is None:
            return await self._send_once(request)
        request = request._replace(token=self._token)
        first_sent = self._monotonic()
        is_final = False
        while True:
            try:
                return await self._send_once(request)
            except Forbidden as error:
                # A token that is not valid costs one call: an unknown caller must not multiply the load.
                if is_final or error.status == 401:
                    raise
            # The API server may have become ready after the denial: the next response is final.
            is_final = not await self._startup.is_starting(self._monotonic() - first_sent)
            if not is_final:
                await self._sleep(_STARTUP_PAUSE_SECONDS)

    async def _send_once(self, request: Request) -> bytes:
        try:
            response = await self._transport.send(request)
        except TransportError as error:
            message = f"{request.method} {request.path}: the API server did not respond: {error}"
            raise Unavailable(message) from error
        if not response.is_success:
            raise _error(response)
        return response.body


def _page(content: bytes) -> Page:
    body: Json = orjson.loads(content)
    metadata = body["metadata"]
    # An empty list of metadata has null items.
    items = _rows(body) if body.get("kind") == "Table" else body["items"] or []
    return Page(
        items,
        metadata.get("continue") or None,
        metadata.get("resourceVersion", ""),
        _next_limit(len(content), len(items)),
    )


def _rows(table: Json) -> list[Json]:
    """Return the rows of a table, each with its cells by the name of the column."""
    columns = [column["name"] for column in table["columnDefinitions"]]
    return [dict(zip(columns, row["cells"], strict=True)) for row in table["rows"] or []]


def _next_limit(page_bytes: int, objects: int) -> int:
    """Return the number of objects of the next page, by the mean size of the objects of the last page."""
    return max(1, min(_PAGE_OBJECTS, _PAGE_BYTES * objects // page_bytes))


def _error(response: Response) -> KubeError:
    try:
        body: Any = orjson.loads(response.body)
    except orjson.JSONDecodeError:
        body = {"message": response.body.decode(errors="replace")[:500]}
    return from_status(response.status, body if isinstance(body, dict) else {}, response.retry_after)
