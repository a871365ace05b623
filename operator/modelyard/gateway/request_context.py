"""The context of a request: api-version, the caller's token, and the account."""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections import OrderedDict
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, Final
from urllib.parse import quote, urlencode

from fastapi import Depends, Path, Query, Request, Response
from fastapi.routing import APIRoute
from fastapi.security import HTTPBearer

from modelyard.api.kinds import IMAGE, MANIFEST, SERVICE, Kind
from modelyard.api.labels import revision_name
from modelyard.api.names import GROUP, is_object_name, parse_version_reference
from modelyard.api.resources import CUSTOM_RESOURCES
from modelyard.api.revision import FullRevision, references_in
from modelyard.gateway import error_codes
from modelyard.gateway.errors import ApiError, token_missing, try_again
from modelyard.gateway.operation_status import OperationStatus, operation_status, revision_selector
from modelyard.gateway.registration import KeyedLock, Sleep
from modelyard.gateway.settings import GatewaySettings
from modelyard.kube.client import Client
from modelyard.kube.errors import NotFound, Rejected
from modelyard.kube.types import NAMESPACES, REVISIONS, ApiResource, Json, Page

API_VERSIONS: Final = ("2017-09-01-preview",)
SUBSCRIPTION: Final = f"{GROUP}/subscription"  # label of a namespace
RESOURCE_GROUP: Final = f"{GROUP}/resource-group"  # label of a namespace
_MAX_NAMESPACE: Final = 63
_MAX_CACHED_CALLERS: Final = 1024
_CACHE_SECONDS: Final = 30
# A list takes up to 30 MB. All callers share the slots, so that their lists do not exceed the pod's memory.
_CONCURRENT_LISTS: Final = 3
_LIST_WAIT_SECONDS: Final = 10.0

bearer = HTTPBearer(auto_error=False, description="A token that the cluster's API server accepts.")


class AccountLabels:
    """The labels of namespaces, as each caller may read them, cached for 30 seconds."""

    def __init__(self) -> None:
        self._cache: OrderedDict[bytes, tuple[float, Mapping[str, str]]] = OrderedDict()

    async def get(self, client: Client, token: str, namespace: str) -> Mapping[str, str]:
        """Return the labels of a namespace, none if the caller may not read the namespace.

        The labels only tell whether the path names the right account. The API server decides on each call
        what the caller may do. Raises NotFound if there is no such namespace.
        """
        key = hashlib.sha256(f"{namespace} {token}".encode()).digest()
        cached = self._cache.get(key)
        if cached and cached[0] > time.monotonic():
            return cached[1]
        try:
            body = await client.get(NAMESPACES, None, namespace)
        except Rejected as error:
            if error.status != 403:
                raise
            body = {"metadata": {}}
        labels = body["metadata"].get("labels") or {}
        self._cache[key] = (time.monotonic() + _CACHE_SECONDS, labels)
        if len(self._cache) > _MAX_CACHED_CALLERS:
            self._cache.popitem(last=False)
        return labels


@dataclass(frozen=True)
class AppState:
    """The objects that all requests of this process share."""

    settings: GatewaySettings
    client: Client  # without credentials
    sleep: Sleep = asyncio.sleep
    lock: KeyedLock = field(default_factory=KeyedLock)
    account_labels: AccountLabels = field(default_factory=AccountLabels)
    list_slots: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(_CONCURRENT_LISTS))


@dataclass(frozen=True)
class RequestContext:
    """A request of one caller to one account."""

    state: AppState
    client: Client  # with the caller's token
    namespace: str  # of the account
    account_url: str
    api_version: str
    _revisions: dict[str, FullRevision | None] = field(default_factory=dict)

    def link(self, *path: str, **query: str) -> str:
        """Return an absolute URL below the account."""
        tail = "/".join(quote(part, safe=":") for part in path)
        return f"{self.account_url}/{tail}?{urlencode({'api-version': self.api_version, **query})}"

    def location(self, *path: str) -> str:
        """Return an absolute URL without a query: clients use its last segment as an id."""
        return self.link(*path).partition("?")[0]

    def log_uri(self, version: FullRevision) -> str:
        """Return the URL of the log of an image's build."""
        return self.link("images", version.id, "log")

    async def get_or_none(self, resource: ApiResource, name: str) -> Json | None:
        """Return an object of the account, None if there is none."""
        return await self.client.get_or_none(resource, self.namespace, name)

    async def version(self, kind: Kind, id_: str) -> FullRevision | None:
        """Return the version of an id `name:version`, None if there is none. A request reads it once."""
        reference = parse_version_reference(id_)
        if not reference.version:
            return None
        return await self.revision(revision_name(kind.name, reference.name, reference.version))

    async def revision(self, name: str) -> FullRevision | None:
        """Return the revision of a ControllerRevision's name, None if there is none."""
        if name not in self._revisions:
            body = await self.get_or_none(REVISIONS, name) if is_object_name(name) else None
            self._revisions[name] = FullRevision.read(body) if body else None
        return self._revisions[name]

    async def operation_status(self, version: FullRevision) -> OperationStatus:
        """Return the status of a version's operation."""
        owner = None
        if version.state is None:
            owner = await self.get_or_none(CUSTOM_RESOURCES[version.key.kind], version.key.name)
        return operation_status(version, owner)

    async def revisions_page(
        self, kind: Kind, names: tuple[str, ...], limit: int, continue_token: str | None
    ) -> Page:
        """Return a page of the ControllerRevisions of a kind, or of some of its objects."""
        return await self.client.list_page(
            REVISIONS, self.namespace, limit, continue_token, revision_selector(kind, names)
        )

    async def manifest_of(self, image: FullRevision) -> FullRevision | None:
        """Return the manifest of an image, None if it was deleted."""
        return await self.version(MANIFEST, str(image.data.get("manifestId", "")))

    async def image_of(self, service: Json) -> FullRevision | None:
        """Return the image that a Service serves or, before its first rollout, will serve."""
        status_ids = references_in(SERVICE.name, service.get("status") or {})
        return await self.version(IMAGE, next(iter(status_ids), service["spec"]["imageId"]))


class AccountRoute(APIRoute):
    """A route below an account, which authenticates the caller before it reads the request's body.

    A parsed body takes many times its size in memory, which an unknown caller must not be able to use.
    """

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """Return the handler of the route."""
        handle = super().get_route_handler()

        async def authenticate_and_handle(request: Request) -> Response:
            await _authenticate(request)
            return await handle(request)

        return authenticate_and_handle


async def _authenticate(request: Request) -> None:
    """Store the caller's client and the account's labels in the request's state, for `request_context`.

    Raises ApiError 401 without a token, ApiError 404 if there is no such account, and KubeError.
    """
    credentials = await bearer(request)
    token = credentials.credentials if credentials else ""
    if not token.isascii() or not token.isprintable() or not token:
        raise token_missing()
    account = request.path_params["accountName"]
    if not is_object_name(account) or len(account) > _MAX_NAMESPACE or "." in account:
        raise _account_not_found(account)
    state: AppState = request.app.state.gateway
    client = state.client.with_token(token)
    try:
        request.state.labels = await state.account_labels.get(client, token, account)
    except NotFound:
        raise _account_not_found(account) from None
    request.state.client = client


async def request_context(
    request: Request,
    subscription: Annotated[str, Path(alias="subscriptionId", description="Id of the subscription.")],
    resource_group: Annotated[str, Path(alias="resourceGroupName", description="Resource group.")],
    account: Annotated[str, Path(alias="accountName", description="Account: a namespace of the cluster.")],
    api_version: Annotated[
        str,
        Query(
            alias="api-version",
            description="Version of this API.",
            json_schema_extra={"enum": [*API_VERSIONS]},
        ),
    ],
) -> RequestContext:
    """Return the context of a request to an existing account.

    Raises ApiError 400 for an unknown api-version, and ApiError 404 if the account's labels name another
    subscription or resource group.
    """
    if api_version not in API_VERSIONS:
        message = f"the api-version is not one of {', '.join(API_VERSIONS)}"
        raise ApiError(error_codes.UNKNOWN_API_VERSION, message)
    for label, value in ((SUBSCRIPTION, subscription), (RESOURCE_GROUP, resource_group)):
        if request.state.labels.get(label, value).casefold() != value.casefold():
            raise _account_not_found(account)
    state: AppState = request.app.state.gateway
    base = (state.settings.public_url or str(request.base_url)).rstrip("/")
    path = f"/subscriptions/{quote(subscription, safe='')}/resourceGroups/{quote(resource_group, safe='')}"
    account_url = f"{base}/api{path}/accounts/{account}"
    return RequestContext(state, request.state.client, account, account_url, api_version)


async def list_slot(request: Request) -> AsyncIterator[None]:
    """Wait until the process has the memory for another list, and hold it until the response is written.

    Raises ApiError 503 after ten seconds.
    """
    state: AppState = request.app.state.gateway
    try:
        async with asyncio.timeout(_LIST_WAIT_SECONDS):
            await state.list_slots.acquire()
    except TimeoutError:
        raise try_again(error_codes.BUSY, "the gateway serves too many lists: try again") from None
    try:
        yield
    finally:
        state.list_slots.release()


def _account_not_found(name: str) -> ApiError:
    message = f"there is no account {name[:100]!r} in this subscription and resource group"
    return ApiError(error_codes.ACCOUNT_NOT_FOUND, message)


Context = Annotated[RequestContext, Depends(request_context)]
