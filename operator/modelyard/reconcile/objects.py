"""What is known of one thing in the cluster, read from what the API server says of it."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass, field
from typing import Final, NamedTuple, Self

import orjson

from modelyard.api.kinds import IMAGE
from modelyard.api.names import GROUP, REGISTRATION
from modelyard.api.status import State
from modelyard.kube.types import Json
from modelyard.reconcile.workqueue import Key
from modelyard.resources import labels
from modelyard.resources.revision import Owner

_LATE: Final = "ProgressDeadlineExceeded"


class DesiredHash(NamedTuple):
    """The fingerprint of a child as it shall be, and what it was made of beside its object."""

    inputs: str
    fingerprint: str


@dataclass(slots=True)
class CustomObject:
    """One of our objects."""

    key: Key
    uid: str
    generation: int
    resource_version: int
    registration: str | None
    deleting: bool
    spec: Json
    status: Json
    needs_refetch: bool = False  # something of it was deleted: it may have gone itself
    marks: dict[str, DesiredHash] = field(default_factory=dict)  # by plural, of children as they shall be

    @classmethod
    def read(cls, kind: str, body: Json) -> Self:
        """Of a Model, Manifest, Image or Service."""
        metadata = body["metadata"]
        return cls(
            key=Key(kind, metadata["namespace"], metadata["name"]),
            uid=metadata["uid"],
            generation=metadata["generation"],
            resource_version=int(metadata["resourceVersion"]),
            registration=metadata.get("annotations", {}).get(REGISTRATION),
            deleting="deletionTimestamp" in metadata,
            spec=body.get("spec", {}),
            status=body.get("status", {}),
        )

    @property
    def state(self) -> State | None:
        """State of the newest version's operation, as last written."""
        return State(self.status["state"]) if "state" in self.status else None

    @property
    def ready(self) -> bool:
        """Whether the condition Ready was last written as true."""
        conditions = self.status.get("conditions", ())
        return any(said["type"] == "Ready" and said["status"] == "True" for said in conditions)


@dataclass(slots=True)
class Revision:
    """A version of one of our objects: a ControllerRevision. `annotations` are its operation."""

    key: Key
    version: int
    owner_uid: str
    resource_version: int
    created: str
    data: Json
    annotations: Json

    @classmethod
    def read(cls, owner: Owner, body: Json) -> Self:
        """Of a ControllerRevision and its owner."""
        metadata = body["metadata"]
        annotations = metadata.get("annotations", {})
        return cls(
            key=Key(owner.kind, metadata["namespace"], owner.name),
            version=body["revision"],
            owner_uid=owner.uid,
            resource_version=int(metadata["resourceVersion"]),
            created=metadata["creationTimestamp"],
            data=body["data"],
            annotations={key: value for key, value in annotations.items() if key.startswith(GROUP)},
        )

    @property
    def id(self) -> str:
        """`name:version`."""
        return f"{self.key.name}:{self.version}"

    @property
    def name(self) -> str:
        """Name of the ControllerRevision, which is the id of the operation."""
        return labels.revision_name(self.key.kind, self.key.name, self.version)

    @property
    def state(self) -> State | None:
        """The state the operation ended in; None while it has not, or while the object's status says it."""
        value = self.annotations.get(labels.STATE)
        return State(value) if value else None

    @property
    def location(self) -> str | None:
        """Where an image of this version is, pinned by digest."""
        return self.annotations.get(labels.IMAGE_LOCATION)

    @property
    def error(self) -> Json | None:
        """The ErrorResponse of an operation that failed."""
        text = self.annotations.get(labels.ERROR)
        return orjson.loads(text) if text else None


class Rollout(NamedTuple):
    """Where a Deployment stands."""

    generation: int = 0
    observed: int = 0
    desired: int = 0
    replicas: int = 0
    updated: int = 0
    ready: int = 0
    available: int = 0
    overdue: str = ""  # what the condition Progressing says when the deadline has passed

    @classmethod
    def read(cls, body: Json) -> Self:
        """Of a Deployment."""
        status = body.get("status", {})
        return cls(
            generation=body["metadata"].get("generation", 0),
            observed=status.get("observedGeneration", 0),
            desired=body["spec"].get("replicas", 0),
            replicas=status.get("replicas", 0),
            updated=status.get("updatedReplicas", 0),
            ready=status.get("readyReplicas", 0),
            available=status.get("availableReplicas", 0),
            overdue=_overdue(status),
        )


def _overdue(status: Json) -> str:
    # Only this reason: the others change on the way, and each change would be news.
    conditions = status.get("conditions", ())
    late = (c for c in conditions if (c["type"], c.get("reason")) == ("Progressing", _LATE))
    return next((c.get("message") or _LATE for c in late), "")


@dataclass(slots=True)
class Child:
    """An object that we made for one of ours. `in_sync`: as we wrote it, as far as we know."""

    uid: str
    owner_uid: str
    resource_version: int
    applied: str | None
    in_sync: bool = True
    rollout: Rollout = field(default_factory=Rollout)


class BuildJob(NamedTuple):
    """A build Job of an Image."""

    name: str
    uid: str
    image: Key
    version: int
    attempt: int
    reference: str  # registry/path:tag that it pushes; empty for one of an older operator
    complete: bool  # or its pod has succeeded
    failed: bool
    reason: str  # of the condition that ended it
    pushed: bool = False  # its log says so

    @classmethod
    def read(cls, body: Json) -> Self | None:
        """Of a Job; None when it builds nothing."""
        metadata = body["metadata"]
        annotations = metadata.get("annotations", {})
        if labels.BUILD_IMAGE not in annotations:
            return None
        namespace, _, name = annotations[labels.BUILD_IMAGE].partition("/")
        conditions = body.get("status", {}).get("conditions", ())
        ended = {condition["type"]: condition for condition in conditions if condition["status"] == "True"}
        failure = ended.get("Failed", {})
        return cls(
            name=metadata["name"],
            uid=metadata["uid"],
            image=Key(IMAGE.name, namespace, name),
            version=int(annotations[labels.BUILD_VERSION]),
            attempt=int(annotations[labels.BUILD_ATTEMPT]),
            reference=annotations.get(labels.BUILD_REFERENCE, ""),
            complete="Complete" in ended,
            failed=bool(failure),
            reason=failure.get("reason", ""),
        )


class BuildSnapshot(NamedTuple):
    """What a build was seen to do while it ran."""

    at: dt.datetime
    kept: str  # its log as the ConfigMap has it, as far as is known
    progress: str  # in words
