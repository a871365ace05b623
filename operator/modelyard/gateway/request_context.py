"""What each call begins with: api-version, token, account."""

from __future__ import annotations

import hashlib
import time
from collections import OrderedDict
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, Final
from urllib.parse import quote, urlencode

from fastapi import Depends, Path, Query, Request, Response
from fastapi.routing import APIRoute
from fastapi.security import HTTPBearer

from modelyard.api.kinds import IMAGE, MANIFEST, Kind
from modelyard.api.labels import revision_name
from modelyard.api.names import GROUP, is_object_name, parse_version_reference
from modelyard.api.resources import CUSTOM_RESOURCES
from modelyard.api.revision import Revision
from modelyard.gateway.cluster import Caller, Cluster, Page
from modelyard.gateway.errors import UNAUTHORIZED, ApiError, bad_request
from modelyard.gateway.operation_status import OperationStatus, operation_status, revision_selector
from modelyard.gateway.registration import Turns
from modelyard.gateway.settings import GatewaySettings
from modelyard.kube.errors import NotFound, Rejected
from modelyard.kube.types import REVISIONS, Json

API_VERSIONS: Final = ("2017-09-01-preview",)
SUBSCRIPTION: Final = f"{GROUP}/subscription"  # labels of a namespace
RESOURCE_GROUP: Final = f"{GROUP}/resource-group"
_MAX_NAMESPACE: Final = 63
_REMEMBERED: Final = 1024  # accounts of callers whose labels are known
_REMEMBER_SECONDS: Final = 30

bearer = HTTPBearer(auto_error=False, description="A token that the cluster's API server takes.")


class Accounts:
    """Labels of namespaces as their callers may see them, remembered for moments."""

    def __init__(self) -> None:
        self._known: OrderedDict[bytes, tuple[float, Mapping[str, str]]] = OrderedDict()

    async def labels(self, caller: Caller) -> Mapping[str, str]:
        """Labels of the account; none when the caller may not read the namespace.

        They only say whether the path names the right account: what the caller may do in it, the API server
        decides at each call. NotFound when there is no such namespace.
        """
        key = hashlib.sha256(f"{caller.namespace} {caller.token}".encode()).digest()
        known = self._known.get(key)
        if known and known[0] > time.monotonic():
            return known[1]
        try:
            body = await caller.account()
        except Rejected as error:
            if error.status != 403:
                raise
            body = {"metadata": {}}
        labels = body["metadata"].get("labels") or {}
        self._known[key] = (time.monotonic() + _REMEMBER_SECONDS, labels)
        if len(self._known) > _REMEMBERED:
            self._known.popitem(last=False)
        return labels


@dataclass(frozen=True)
class Parts:
    """What all calls of this process share."""

    settings: GatewaySettings
    cluster: Cluster
    turns: Turns = field(default_factory=Turns)
    accounts: Accounts = field(default_factory=Accounts)


@dataclass(frozen=True)
class Exchange:
    """One call, by one caller, to one account."""

    parts: Parts
    caller: Caller
    account_url: str
    api_version: str
    _versions: dict[str, Revision | None] = field(default_factory=dict)

    def link(self, *path: str, **query: str) -> str:
        """An absolute URL below the account."""
        tail = "/".join(quote(part, safe=":") for part in path)
        return f"{self.account_url}/{tail}?{urlencode({'api-version': self.api_version, **query})}"

    def location(self, *path: str) -> str:
        """The same without a query: clients take its last segment for an id."""
        return self.link(*path).partition("?")[0]

    def log_uri(self, version: Revision) -> str:
        """Where the log of an image's build is."""
        return self.link("images", version.id, "log")

    async def version(self, kind: Kind, id_: str) -> Revision | None:
        """The version of an id that the cluster has given, `name:version`; read once in a call."""
        reference = parse_version_reference(id_)
        name = revision_name(kind.name, reference.name, reference.version or 0)
        return await self.record(name) if reference.version else None

    async def record(self, name: str) -> Revision | None:
        """The version that a record of this name holds."""
        if name not in self._versions:
            body = await self.caller.find(REVISIONS, name) if is_object_name(name) else None
            self._versions[name] = Revision.read(body) if body else None
        return self._versions[name]

    async def operation_status(self, version: Revision) -> OperationStatus:
        """How the operation of a version goes."""
        owner = None
        if version.state is None:
            owner = await self.caller.find(CUSTOM_RESOURCES[version.key.kind], version.key.name)
        return operation_status(version, owner)

    async def versions_page(self, kind: Kind, names: tuple[str, ...], limit: int, at: str | None) -> Page:
        """A page of the records of a kind, or of some objects of it."""
        return await self.caller.page(REVISIONS, limit, at, revision_selector(kind, names))

    async def manifest_of(self, image: Revision) -> Revision | None:
        """What an image is built from."""
        return await self.version(MANIFEST, str(image.data.get("manifestId", "")))

    async def image_of(self, service: Json) -> Revision | None:
        """What a Service serves, or will serve at first."""
        serves = (service.get("status") or {}).get("imageId") or service["spec"]["imageId"]
        return await self.version(IMAGE, serves)


class AccountRoute(APIRoute):
    """A route below an account: who calls is known before what he sends is read.

    A body takes many times its size in memory, and may not be had by everybody.
    """

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handle = super().get_route_handler()

        async def admitted(request: Request) -> Response:
            await _admit(request)
            return await handle(request)

        return admitted


async def _admit(request: Request) -> None:
    """Find the caller and the account's labels, for `exchange`.

    ApiError 401 without a token, 404 when there is no such account; KubeError.
    """
    credentials = await bearer(request)
    if credentials is None or not credentials.credentials.isascii():
        message = "send a header Authorization: Bearer <token>"
        raise ApiError(401, "Unauthorized", message, headers=UNAUTHORIZED)
    account = request.path_params["accountName"]
    if not is_object_name(account) or len(account) > _MAX_NAMESPACE or "." in account:
        raise _no_account(account)
    parts: Parts = request.app.state.parts
    caller = Caller(parts.cluster, credentials.credentials, account)
    try:
        request.state.labels = await parts.accounts.labels(caller)
    except NotFound:
        raise _no_account(account) from None
    request.state.caller = caller


async def exchange(
    request: Request,
    subscription: Annotated[str, Path(alias="subscriptionId", description="Id of the subscription.")],
    resource_group: Annotated[str, Path(alias="resourceGroupName", description="Resource group.")],
    account: Annotated[str, Path(alias="accountName", description="Account: a namespace of the cluster.")],
    api_version: Annotated[
        str,
        Query(
            alias="api-version",
            description="Revision of this API.",
            json_schema_extra={"enum": [*API_VERSIONS]},
        ),
    ],
) -> Exchange:
    """The call, when it is one that can be passed on."""
    if api_version not in API_VERSIONS:
        known = ", ".join(API_VERSIONS)
        raise bad_request("UnknownApiVersion", f"the api-version is not one of {known}")
    for label, said in ((SUBSCRIPTION, subscription), (RESOURCE_GROUP, resource_group)):
        if request.state.labels.get(label, said).casefold() != said.casefold():
            raise _no_account(account)
    parts: Parts = request.app.state.parts
    base = (parts.settings.public_url or str(request.base_url)).rstrip("/")
    path = f"/subscriptions/{quote(subscription, safe='')}/resourceGroups/{quote(resource_group, safe='')}"
    return Exchange(parts, request.state.caller, f"{base}/api{path}/accounts/{account}", api_version)


def _no_account(name: str) -> ApiError:
    message = f"there is no account {name[:100]!r} in this subscription and resource group"
    return ApiError(404, "AccountNotFound", message)


Call = Annotated[Exchange, Depends(exchange)]
