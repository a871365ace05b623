"""The API server as the caller sees it: one connection pool, and each caller's own token."""

from __future__ import annotations

import asyncio
import ssl
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

import aiohttp
import orjson

from modelyard.gateway.settings import GatewaySettings
from modelyard.kube.errors import Forbidden, Gone, KubeError, NotFound, Unavailable, from_status
from modelyard.kube.types import NAMESPACES, ApiResource, Json

FIELD_MANAGER: Final = "modelyard-gateway"
_JSON: Final = "application/json"
_MERGE_PATCH: Final = "application/merge-patch+json"
_TIMEOUT: Final = aiohttp.ClientTimeout(total=10, connect=3)
_TRIES: Final = 3  # of a read whose connection broke: an API server that restarts is away for moments
_PAUSE: Final = 0.3  # seconds before the second one, doubled before the third
# Seconds that a denial is doubted. Until an API server has read the rules of RBAC it denies everything, the
# question whether it is ready too. One that never says whether it is may mean what it says.
_DOUBT_NOT_READY: Final = 6.0
_DOUBT_SILENT: Final = 1.5
_CONNECTIONS: Final = 64


class Page(NamedTuple):
    """Some objects of a collection, and what continues it; None on the last page."""

    items: list[Json]
    next: str | None


class Cluster:
    """One connection pool to one API server, with no rights of its own."""

    def __init__(self, settings: GatewaySettings):
        self._server = settings.api_server.rstrip("/")
        self._tls: ssl.SSLContext | bool = (
            False if settings.insecure else ssl.create_default_context(cafile=settings.ca_path)
        )
        self._session: aiohttp.ClientSession | None = None
        self._is_silent = False  # it does not tell the public whether it is ready

    async def close(self) -> None:
        """Close the connections."""
        if self._session:
            await self._session.close()

    async def ready(self) -> bool:
        """Whether the API server answers at all; what it answers to nobody does not matter."""
        try:
            await self.send("GET", "/version", token=None)
        except KubeError as error:
            return error.status != 0  # an answer is an answer
        return True

    async def doubts(self, seconds: float) -> bool:
        """Whether a denial first heard so many seconds ago may not be meant: the API server is not ready."""
        try:
            await self.fetch("GET", "/readyz", token=None)
        except KubeError as error:
            if error.status in {401, 404}:  # it does not tell everybody, or something stands before it
                return False
            if error.status != 403:
                self._is_silent = False
            doubted = seconds < (_DOUBT_SILENT if self._is_silent else _DOUBT_NOT_READY)
            self._is_silent |= error.status == 403 and not doubted
            return doubted
        self._is_silent = False
        return False

    async def send(
        self,
        method: str,
        path: str,
        token: str | None,
        query: Mapping[str, str] | None = None,
        body: Json | None = None,
        content_type: str = _JSON,
    ) -> Json:
        """JSON of one request; KubeError for what is not success, Unavailable when nothing comes back."""
        decoded: Json = orjson.loads(await self.fetch(method, path, token, query, body, content_type))
        return decoded

    async def fetch(
        self,
        method: str,
        path: str,
        token: str | None,
        query: Mapping[str, str] | None = None,
        body: Json | None = None,
        content_type: str = _JSON,
    ) -> bytes:
        """The same, as it comes."""
        if self._session is None:
            connector = aiohttp.TCPConnector(ssl=self._tls, limit=_CONNECTIONS)
            self._session = aiohttp.ClientSession(connector=connector, cookie_jar=aiohttp.DummyCookieJar())
        headers = {"Accept": _JSON, "Content-Type": content_type, "User-Agent": FIELD_MANAGER}
        if token:
            headers["Authorization"] = f"Bearer {token}"
        try:
            async with self._session.request(
                method,
                self._server + path,
                params=query,
                data=orjson.dumps(body) if body is not None else None,
                headers=headers,
                timeout=_TIMEOUT,
                allow_redirects=False,
            ) as answer:
                text = await answer.read()
        except (aiohttp.ClientError, TimeoutError) as error:
            raise Unavailable(f"the API server does not answer: {type(error).__name__}") from error
        if answer.status >= 300:
            seconds = answer.headers.get("Retry-After", "")
            raise from_status(
                answer.status, _status_body(text), float(seconds) if seconds.isdigit() else None
            )
        return text


def _status_body(text: bytes) -> Json:
    try:
        body: Any = orjson.loads(text)
    except orjson.JSONDecodeError:
        return {}
    return body if isinstance(body, dict) else {}


@dataclass(frozen=True)
class Caller:
    """Who calls, in one namespace. Names are checked before they come here: they become parts of paths."""

    cluster: Cluster
    token: str
    namespace: str

    async def account(self) -> Json:
        """The namespace."""
        return await self._read(NAMESPACES.path(None, self.namespace))

    async def get(self, resource: ApiResource, name: str) -> Json:
        """An object; NotFound when there is none."""
        return await self._read(resource.path(self.namespace, name))

    async def find(self, resource: ApiResource, name: str) -> Json | None:
        """An object, or None."""
        try:
            return await self.get(resource, name)
        except NotFound:
            return None

    async def page(
        self, resource: ApiResource, limit: int, continue_: str | None = None, selector: str | None = None
    ) -> Page:
        """A page of a collection in the order of names.

        Pages of one listing show the collection as it was at the first one for as long as the API server
        remembers that (minutes), then as it is; in both cases each object that stays comes once.
        """
        query = {"limit": str(limit)} | ({"labelSelector": selector} if selector else {})
        path = resource.path(self.namespace)
        try:
            body = await self._read(path, query | ({"continue": continue_} if continue_ else {}))
        except Gone as error:
            resumed = error.body.get("metadata", {}).get("continue")
            if not resumed:
                raise
            body = await self._read(path, query | {"continue": resumed})
        return Page(body["items"] or [], body["metadata"].get("continue") or None)

    async def create(self, resource: ApiResource, body: Json) -> Json:
        """POST an object; AlreadyExists when the name is taken."""
        query = {"fieldManager": FIELD_MANAGER}
        return await self._send("POST", resource.path(self.namespace), query, resource.header() | body)

    async def merge(self, resource: ApiResource, name: str, patch: Json) -> Json:
        """JSON merge patch (RFC 7386); Conflict when the patch names a resourceVersion that has gone by."""
        query = {"fieldManager": FIELD_MANAGER}
        return await self._send("PATCH", resource.path(self.namespace, name), query, patch, _MERGE_PATCH)

    async def delete(self, resource: ApiResource, name: str) -> None:
        """DELETE an object, and what it owns in the background; NotFound when there is none."""
        options: Json = {"propagationPolicy": "Background"}
        await self._send("DELETE", resource.path(self.namespace, name), body=options)

    async def _read(self, path: str, query: Mapping[str, str] | None = None) -> Json:
        pause = _PAUSE
        for _ in range(_TRIES - 1):
            try:
                return await self._send("GET", path, query)
            except Unavailable as error:
                if error.status:  # it answers, and asks to come back later: that is the client's to decide
                    raise
            await asyncio.sleep(pause)
            pause *= 2
        return await self._send("GET", path, query)

    async def _send(
        self,
        method: str,
        path: str,
        query: Mapping[str, str] | None = None,
        body: Json | None = None,
        content_type: str = _JSON,
    ) -> Json:
        """One request with the caller's token; what is denied, and so not done, is asked until it is sure."""
        begun = time.monotonic()
        is_sure = False
        while True:
            try:
                return await self.cluster.send(method, path, self.token, query, body, content_type)
            except Forbidden:
                if is_sure:
                    raise
            # An API server that is ready now may not have been when it denied: its next answer counts.
            is_sure = not await self.cluster.doubts(time.monotonic() - begun)
            if not is_sure:
                await asyncio.sleep(_PAUSE)
