"""Versions as the cluster keeps them: ControllerRevisions, which the operator writes and nobody else."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import orjson

from modelyard.api.kinds import KINDS_BY_NAME, Kind
from modelyard.api.names import GROUP, REGISTRATION
from modelyard.api.status import State
from modelyard.kube.types import Json
from modelyard.resources import labels
from modelyard.resources.revision import owner_of


@dataclass(frozen=True)
class Version:
    """A version of an object, and its operation."""

    kind: Kind
    object: str  # metadata.name of the object
    number: int
    owner_uid: str
    created: str
    data: Json
    annotations: Mapping[str, str]

    @property
    def id(self) -> str:
        """`name:version`."""
        return f"{self.object}:{self.number}"

    @property
    def record(self) -> str:
        """Name of the record, which is the id of the operation and of the deployment."""
        return labels.revision_name(self.kind.name, self.object, self.number)

    @property
    def name(self) -> str:
        """The name that clients know."""
        return str(self.data.get("name", self.object))

    @property
    def registration(self) -> str | None:
        """The mark of the request that made it."""
        return self.data.get(REGISTRATION)

    @property
    def state(self) -> State | None:
        """The state it ended in; None while its object's status says it."""
        value = self.annotations.get(labels.STATE)
        return State(value) if value else None

    @property
    def ended(self) -> str | None:
        """When it ended."""
        return self.annotations.get(labels.ENDED)

    @property
    def error(self) -> Json | None:
        """Why it failed."""
        text = self.annotations.get(labels.ERROR)
        return orjson.loads(text) if text else None

    @property
    def location(self) -> str | None:
        """Where a built image is."""
        return self.annotations.get(labels.IMAGE_LOCATION)

    @property
    def about(self) -> Json:
        """Its description and tags."""
        text = self.annotations.get(labels.ABOUT)
        return orjson.loads(text) if text else {}


def version_of(body: Json) -> Version | None:
    """The version that a ControllerRevision records; None when it records none of ours."""
    metadata = body["metadata"]
    named = labels.parse_revision_name(metadata["name"])
    owner = owner_of(body)
    if named is None or owner is None or (owner.kind, owner.name) != (named.kind, named.name):
        return None
    return Version(
        kind=KINDS_BY_NAME[named.kind],
        object=named.name,
        number=named.version,
        owner_uid=owner.uid,
        created=metadata["creationTimestamp"],
        data=body.get("data") or {},
        annotations=metadata.get("annotations") or {},
    )


def selector(kind: Kind, names: tuple[str, ...] = ()) -> str:
    """The label selector of a kind's versions, or of those of some objects."""
    label = f"{GROUP}/{kind.singular}"
    return f"{label} in ({','.join(sorted(set(names)))})" if names else label


@dataclass(frozen=True)
class Progress:
    """How an operation goes."""

    state: State
    error: Json | None = None
    ended: str | None = None
    message: str = ""


def progress(version: Version, owner: Json | None) -> Progress:
    """From the record when the operation has ended, from its object's status before."""
    if version.state:
        return Progress(version.state, version.error, version.ended)
    status: dict[str, Any] = (owner or {}).get("status") or {}
    same = owner is not None and owner["metadata"]["uid"] == version.owner_uid
    if not same or status.get("version") != version.number:
        return Progress(State.NOT_STARTED)
    ready: Json = next((c for c in status.get("conditions", ()) if c["type"] == "Ready"), {})
    state = State(status.get("state", State.NOT_STARTED))
    ended = ready.get("lastTransitionTime") if state.ended else None
    message = status.get("progress") or ready.get("message", "")
    return Progress(state, status.get("error"), ended, message)
