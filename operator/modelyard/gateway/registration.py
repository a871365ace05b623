"""One more version, recorded for certain: however many clients ask at once, none is lost, none comes twice.

The operator records what it finds in an object, so what one client writes there must be recorded before the
next client overwrites it. Each request has a mark, which is a part of the version. A writer

1. waits until what is in the object is recorded (its status names a record with the object's mark),
2. writes on the condition that nobody has written since (resourceVersion),
3. waits until there is a record with its own mark, and answers with that.

If somebody else, kubectl say, has overwritten it before it was recorded, the writer looks whether it was
recorded after all, and begins anew when not. Clients that may write Models need no right to write records. A
gateway that is killed at any of these points leaves at most one version.
"""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final
from weakref import WeakValueDictionary

from modelyard.api.kinds import Kind
from modelyard.api.labels import revision_name
from modelyard.api.names import REGISTRATION
from modelyard.api.resources import CUSTOM_RESOURCES
from modelyard.api.revision import Revision
from modelyard.api.status import State
from modelyard.gateway.cluster import Caller
from modelyard.gateway.errors import ApiError, later
from modelyard.kube.errors import AlreadyExists, Conflict, NotFound, Unavailable
from modelyard.kube.merge import replacement
from modelyard.kube.types import REVISIONS, Json

_PREFIX: Final = "rest"
_FIRST_PAUSE: Final = 0.03  # seconds between looks at an object, growing
_LONGEST_PAUSE: Final = 0.4
_ANSWERED: Final = 30.0  # seconds: whoever wrote a mark that is older has had his answer

Change = Callable[[Json | None], Json]
"""The new spec from the present one, None when there is no object; it may raise ApiError."""


class Turns:
    """Those who write the same object through this process queue up instead of running into conflicts."""

    def __init__(self) -> None:
        self._locks: WeakValueDictionary[tuple[str, str, str], asyncio.Lock] = WeakValueDictionary()

    def of(self, namespace: str, kind: Kind, name: str) -> asyncio.Lock:
        """The lock of one object."""
        return self._locks.setdefault((namespace, kind.name, name), asyncio.Lock())


def new_mark() -> str:
    """The mark of one request: unique, and with its time."""
    return f"{_PREFIX}.{int(time.time())}.{uuid.uuid4().hex}"


def mark_of(body: Json) -> str | None:
    """The mark that an object carries."""
    mark: str | None = (body["metadata"].get("annotations") or {}).get(REGISTRATION)
    return mark


def marked(name: str, mark: str, spec: Json) -> Json:
    """A new object."""
    return {"metadata": {"name": name, "annotations": {REGISTRATION: mark}}, "spec": spec}


@dataclass
class Registration:
    """One request to make a version of one object."""

    caller: Caller
    kind: Kind
    name: str
    change: Change
    patience: float  # seconds
    mark: str = field(default_factory=new_mark)
    _wrote_after: int | None = None  # the newest version there was when it was first written

    async def run(self, turns: Turns) -> Revision:
        """The version of this very request.

        ApiError 503 when the operator has not recorded it in time, or its turn did not come; what `change`
        raises; KubeError.
        """
        try:
            async with asyncio.timeout(self.patience), turns.of(self.caller.namespace, self.kind, self.name):
                return await self._run()
        except TimeoutError:
            raise self._late() from None

    async def _run(self) -> Revision:
        pause = _FIRST_PAUSE
        while True:
            try:
                if version := await self._step():
                    return version
            except Unavailable as error:
                if error.status == 429 and self._wrote_after is None:
                    raise
            await asyncio.sleep(pause)
            pause = min(pause * 1.3, _LONGEST_PAUSE)

    async def _step(self) -> Revision | None:
        body = await self.caller.find(CUSTOM_RESOURCES[self.kind.name], self.name)
        if body is None:
            await self._create()
            return None
        newest = await self._newest(body)
        if newest and newest.registration == self.mark:
            return newest
        if mark_of(body) == self.mark or not self._may_follow(body, newest):
            return None
        number = newest.version if newest else 0
        if self._wrote_after is not None:
            earlier = await self._recorded(body["metadata"]["uid"], number)
            if earlier:
                return earlier
        await self._overwrite(body, number)
        return None

    async def _create(self) -> None:
        spec = self.change(None)
        self._wrote_after = 0
        try:
            await self.caller.create(CUSTOM_RESOURCES[self.kind.name], marked(self.name, self.mark, spec))
        except AlreadyExists:
            return

    async def _overwrite(self, body: Json, newest: int) -> None:
        patch = {
            "metadata": {
                "resourceVersion": body["metadata"]["resourceVersion"],
                "annotations": {REGISTRATION: self.mark},
            },
            "spec": replacement(body["spec"], self.change(body["spec"])),
        }
        if self._wrote_after is None:
            self._wrote_after = newest
        try:
            await self.caller.merge(CUSTOM_RESOURCES[self.kind.name], self.name, patch)
        except (Conflict, NotFound):
            return

    def _may_follow(self, body: Json, newest: Revision | None) -> bool:
        """Whether what the object says is recorded, or is nothing that anybody waits for."""
        status = body.get("status") or {}
        if status.get("observedGeneration") != body["metadata"].get("generation"):
            return False
        if newest and newest.registration == mark_of(body):
            return True
        return status.get("state") == State.NOT_STARTED and _is_answered(mark_of(body))

    async def _newest(self, body: Json) -> Revision | None:
        """The version that the object's status names, if it is of this object and not of a deleted one."""
        name = (body.get("status") or {}).get("operationId")
        record = await self.caller.find(REVISIONS, name) if name else None
        version = Revision.read(record) if record else None
        return version if version and version.owner_uid == body["metadata"]["uid"] else None

    async def _recorded(self, uid: str, newest: int) -> Revision | None:
        """A version with the mark of this request, though somebody else's came after it."""
        for number in range(newest, self._wrote_after or 0, -1):
            name = revision_name(self.kind.name, self.name, number)
            record = await self.caller.find(REVISIONS, name)
            version = Revision.read(record) if record else None
            if version and version.owner_uid == uid and version.registration == self.mark:
                return version
        return None

    def _late(self) -> ApiError:
        if self._wrote_after is None:
            return later(
                "Busy", f"{self.kind.name} {self.name} is being written by others; nothing was registered"
            )
        return later(
            "NotRecorded",
            f"{self.kind.name} {self.name} is written, but the operator has not recorded a version of it yet:"
            " look whether it is listed before sending it again",
            5,
        )


def _is_answered(mark: str | None) -> bool:
    """Whether no client waits for this mark any more."""
    parts = (mark or "").split(".")
    if parts[0] != _PREFIX or len(parts) != 3 or not parts[1].isdigit():
        return True
    return time.time() - int(parts[1]) > _ANSWERED
