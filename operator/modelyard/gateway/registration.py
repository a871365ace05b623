"""The registration of one more version: of any number of concurrent requests none is lost or recorded twice.

The operator records the spec that it finds in an object. The spec of one client must therefore be recorded
before the next client overwrites it. Each request has a token, which becomes a part of the version. A writer

1. waits until the object's spec is recorded: the object's status names a revision with the object's token,
2. writes on the condition that the object's resourceVersion is unchanged,
3. waits for the revision with its own token, which is the result.

Another writer, such as kubectl, may overwrite the object before it was recorded. Then the writer looks for a
revision with its own token, and starts again if there is none. Clients that may write Models thus need no
right to write ControllerRevisions. A gateway that is killed at any of these points leaves at most one
version.
"""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Final
from weakref import WeakValueDictionary

from modelyard.api.kinds import Kind
from modelyard.api.labels import revision_name
from modelyard.api.names import REGISTRATION
from modelyard.api.resources import CUSTOM_RESOURCES
from modelyard.api.revision import FullRevision
from modelyard.api.status import State
from modelyard.backoff import Backoff
from modelyard.gateway import error_codes
from modelyard.gateway.errors import ApiError, try_again
from modelyard.kube.client import Client
from modelyard.kube.errors import AlreadyExists, Conflict, NotFound, Unavailable
from modelyard.kube.merge import replacement
from modelyard.kube.types import REVISIONS, ApiResource, Json

_PREFIX: Final = "rest"
_POLL: Final = Backoff(first_seconds=0.03, most_seconds=0.25)
_MAX_RESPONSE_SECONDS: Final = 30.0  # after this age of a token, its client has a response
_NOT_RECORDED_RETRY_SECONDS: Final = 5

Change = Callable[[Json | None], Json]
"""Returns the new spec from the current one, None if there is no object. It may raise ApiError."""
Sleep = Callable[[float], Awaitable[None]]
"""Waits for some seconds."""


class KeyedLock:
    """A lock for each object: writers of one object wait for each other instead of running into conflicts."""

    def __init__(self) -> None:
        self._locks: WeakValueDictionary[tuple[str, str, str], asyncio.Lock] = WeakValueDictionary()

    def of(self, namespace: str, kind: Kind, name: str) -> asyncio.Lock:
        """Return the lock of one object."""
        return self._locks.setdefault((namespace, kind.name, name), asyncio.Lock())


def new_request_token() -> str:
    """Return the token of one request, which is unique and contains the time."""
    return f"{_PREFIX}.{int(time.time())}.{uuid.uuid4().hex}"


def request_token_of(body: Json) -> str | None:
    """Return the token of the request that wrote an object last, None if another client wrote it."""
    token: str | None = (body["metadata"].get("annotations") or {}).get(REGISTRATION)
    return token


def new_object(name: str, request_token: str, spec: Json) -> Json:
    """Return the body of a new object, without apiVersion and kind."""
    return {"metadata": {"name": name, "annotations": {REGISTRATION: request_token}}, "spec": spec}


@dataclass
class Registration:
    """A request to make a version of one object."""

    client: Client
    namespace: str
    kind: Kind
    name: str
    change: Change
    timeout_seconds: float
    sleep: Sleep = asyncio.sleep
    request_token: str = field(default_factory=new_request_token)
    _written_after: int | None = None  # the newest version at the first write, None before that write

    async def run(self, lock: KeyedLock) -> FullRevision:
        """Return the version of this request.

        Raises ApiError 503 if the operator does not record the version, or other writers keep the object
        busy, until the timeout. Errors of `change` and KubeError pass through.
        """
        try:
            async with (
                asyncio.timeout(self.timeout_seconds),
                lock.of(self.namespace, self.kind, self.name),
            ):
                return await self._run()
        except TimeoutError:
            raise self._timeout_error() from None

    @property
    def _resource(self) -> ApiResource:
        return CUSTOM_RESOURCES[self.kind.name]

    async def _run(self) -> FullRevision:
        polls = 0
        while True:
            try:
                if version := await self._step():
                    return version
            except Unavailable as error:
                if error.status == 429 and self._written_after is None:
                    raise
            polls += 1
            await self.sleep(_POLL.seconds(polls))

    async def _step(self) -> FullRevision | None:
        body = await self.client.get_or_none(self._resource, self.namespace, self.name)
        if body is None:
            await self._create()
            return None
        newest = await self._newest(body)
        if newest and newest.registration == self.request_token:
            return newest
        if request_token_of(body) == self.request_token or not self._may_overwrite(body, newest):
            return None
        number = newest.version if newest else 0
        if self._written_after is not None:
            earlier = await self._find_own(body["metadata"]["uid"], number)
            if earlier:
                return earlier
        await self._overwrite(body, number)
        return None

    async def _create(self) -> None:
        body = new_object(self.name, self.request_token, self.change(None))
        self._written_after = 0
        try:
            await self.client.create(self._resource, self.namespace, self._resource.header() | body)
        except AlreadyExists:
            return

    async def _overwrite(self, body: Json, newest: int) -> None:
        patch = {
            "metadata": {
                "resourceVersion": body["metadata"]["resourceVersion"],
                "annotations": {REGISTRATION: self.request_token},
            },
            "spec": replacement(body["spec"], self.change(body["spec"])),
        }
        if self._written_after is None:
            self._written_after = newest
        try:
            await self.client.patch(self._resource, self.namespace, self.name, patch)
        except (Conflict, NotFound):
            return

    def _may_overwrite(self, body: Json, newest: FullRevision | None) -> bool:
        """Return whether the object's spec is recorded, or no client waits for its recording."""
        status = body.get("status") or {}
        if status.get("observedGeneration") != body["metadata"].get("generation"):
            return False
        token = request_token_of(body)
        if newest and newest.registration == token:
            return True
        return status.get("state") == State.NOT_STARTED and _is_answered(token)

    async def _newest(self, body: Json) -> FullRevision | None:
        """Return the version that the object's status names, None if it is of a deleted object."""
        name = (body.get("status") or {}).get("operationId")
        version = await self._revision(name) if name else None
        return version if version and version.owner_uid == body["metadata"]["uid"] else None

    async def _find_own(self, uid: str, newest: int) -> FullRevision | None:
        """Return the version of this request if the operator recorded it before another writer's."""
        for number in range(newest, self._written_after or 0, -1):
            version = await self._revision(revision_name(self.kind.name, self.name, number))
            if version and version.owner_uid == uid and version.registration == self.request_token:
                return version
        return None

    async def _revision(self, name: str) -> FullRevision | None:
        body = await self.client.get_or_none(REVISIONS, self.namespace, name)
        return FullRevision.read(body) if body else None

    def _timeout_error(self) -> ApiError:
        if self._written_after is None:
            message = (
                f"other clients are writing {self.kind.name} {self.name}: nothing was registered, try again"
            )
            return try_again(error_codes.BUSY, message)
        return try_again(
            error_codes.NOT_RECORDED,
            f"{self.kind.name} {self.name} is written, but its version is not recorded yet:"
            " check whether the version is listed before you send the request again",
            _NOT_RECORDED_RETRY_SECONDS,
        )


def _is_answered(token: str | None) -> bool:
    """Return whether the client of a request has its response."""
    parts = (token or "").split(".")
    if parts[0] != _PREFIX or len(parts) != 3 or not parts[1].isdigit():
        return True
    return time.time() - int(parts[1]) > _MAX_RESPONSE_SECONDS
