"""A version of an object and its operation, as a ControllerRevision records them."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple, Self

import orjson

from modelyard.api import labels
from modelyard.api.kinds import IMAGE, KINDS_BY_NAME, MANIFEST, MODEL, SERVICE, Kind
from modelyard.api.names import REGISTRATION, is_version_reference
from modelyard.api.owners import adoptable_by, owner_of
from modelyard.api.record_input import content_problem, valid_annotations
from modelyard.api.status import ImageTimeline, State
from modelyard.kube.types import Json, Key


class Reference(NamedTuple):
    """The kind that objects of another kind refer to, and the field with the references."""

    kind: str
    field: str  # in the spec, the status and the content of a version


REFERENCES: Final = {
    MANIFEST.name: Reference(MODEL.name, "modelIds"),
    IMAGE.name: Reference(MANIFEST.name, "manifestId"),
    SERVICE.name: Reference(IMAGE.name, "imageId"),
}
"""Kind of the object that refers to others → what it refers to."""


def content_hash(data: Any) -> str:
    """Return the hash of JSON content as 32 hexadecimal digits.

    ControllerRevisions store it, so every release must compute the same hash.
    """
    return hashlib.sha256(orjson.dumps(data, option=orjson.OPT_SORT_KEYS)).hexdigest()[:32]


@dataclass(slots=True)
class Revision:
    """A version of an object, without its content, which may have 1 MiB.

    Its `annotations`, those of this API's group, record the operation.
    """

    key: Key  # of the object
    version: int
    owner_uid: str
    resource_version: int
    created: str  # RFC 3339
    content_hash: str  # of the content, which the operator never changes
    references: tuple[str, ...]  # ids of the versions that the content refers to, in its order
    annotations: Json
    problem: str = ""  # sentence about data that is no content of the kind: nothing may use the version
    equal_hash: str = ""  # of the content that is equal by the types of this release, empty until compared

    @classmethod
    def read(cls, body: Json, *, adoptable: bool = False) -> Self | None:
        """Parse a ControllerRevision; None if it records no version of an object of this API.

        Only the name `<kind>-<name>-<version>` of the controlling owner counts: a user may create
        ControllerRevisions of other names and owners. With `adoptable`, one without a controller counts for
        the owner that its labels name, and has an empty `owner_uid`.
        """
        fields = _fields(body, adoptable=adoptable)
        return cls(**fields) if fields else None

    @property
    def kind(self) -> Kind:
        """Return the kind of the object."""
        return KINDS_BY_NAME[self.key.kind]

    @property
    def id(self) -> str:
        """Return the id of the version: `name:version`."""
        return f"{self.key.name}:{self.version}"

    @property
    def name(self) -> str:
        """Return the name of the ControllerRevision, which is also the id of the operation."""
        return labels.revision_name(self.key.kind, self.key.name, self.version)

    @property
    def state(self) -> State | None:
        """Return the state in which the operation ended, None if only the object's status has its state."""
        value = self.annotations.get(labels.STATE)
        return State(value) if value else None

    @property
    def ended(self) -> str | None:
        """Return the time at which the operation ended (RFC 3339), None if it is not recorded."""
        return self.annotations.get(labels.ENDED)

    @property
    def error(self) -> Json | None:
        """Return the ErrorResponse of an operation that failed."""
        text = self.annotations.get(labels.ERROR)
        return orjson.loads(text) if text else None

    @property
    def location(self) -> str | None:
        """Return the reference, pinned by digest, of the image that this version built."""
        return self.annotations.get(labels.IMAGE_LOCATION)

    @property
    def architectures(self) -> tuple[str, ...]:
        """Return the architectures of that image, such as `amd64`, empty if they are not recorded."""
        recorded = self.annotations.get(labels.IMAGE_ARCHITECTURE)
        return tuple(recorded.split(",")) if recorded else ()

    @property
    def digest(self) -> str:
        """Return the digest of the image that this version built, an empty string without one."""
        return (self.location or "").rpartition("@")[2]

    @property
    def referenced(self) -> str | None:
        """Return the hashes of the content that this version's references had, None if not recorded.

        Releases up to 0.2.0 did not record them.
        """
        return self.annotations.get(labels.REFERENCED)

    @property
    def has_build_log(self) -> bool:
        """Return whether a build of this version has a log in a ConfigMap."""
        return labels.BUILD_LOG in self.annotations

    @property
    def timeline(self) -> Json:
        """Return the times of an Image's version: of its record, and of the steps of its build."""
        text = self.annotations.get(labels.BUILD_TIMES)
        times = ImageTimeline.model_validate_json(text).to_json() if text else {}
        return {"seen": self.created} | times

    @property
    def about(self) -> Json:
        """Return the description and the tags, which are not part of the content."""
        text = self.annotations.get(labels.ABOUT)
        return orjson.loads(text) if text else {}


@dataclass(slots=True)
class FullRevision(Revision):
    """A version of an object with its content."""

    data: Json = field(default_factory=dict)

    @classmethod
    def read(cls, body: Json, *, adoptable: bool = False) -> Self | None:
        """Parse a ControllerRevision as `Revision.read` does, with the content; None if that is not valid."""
        fields = _fields(body, adoptable=adoptable)
        if fields is None or fields["problem"]:
            return None
        return cls(**fields, data=body["data"])

    @property
    def display_name(self) -> str:
        """Return the name that clients of the REST API use for the object."""
        return str(self.data.get("name", self.key.name))

    @property
    def registration(self) -> str | None:
        """Return the value of the annotation `registration` that the object had, None without one."""
        return self.data.get(REGISTRATION)


def _fields(body: Json, *, adoptable: bool) -> dict[str, Any] | None:
    """Return the fields of a Revision, None for a ControllerRevision that records no version."""
    metadata = body["metadata"]
    owner = owner_of(body) or (adoptable_by(body) if adoptable else None)
    if owner is None or owner.kind not in KINDS_BY_NAME:
        return None
    version = body["revision"]
    if labels.parse_revision_name(metadata["name"]) != (owner.kind, owner.name, version):
        return None
    data = body.get("data") or {}
    problem = content_problem(KINDS_BY_NAME[owner.kind], data)
    return {
        "key": Key(owner.kind, metadata["namespace"], owner.name),
        "version": version,
        "owner_uid": owner.uid,
        "resource_version": int(metadata["resourceVersion"]),
        "created": metadata["creationTimestamp"],
        "content_hash": content_hash(data),
        "references": () if problem else _reference_texts(owner.kind, data),
        "annotations": valid_annotations(metadata.get("annotations") or {}),
        "problem": problem,
    }


def references_in(kind: str, content: Json) -> tuple[str, ...]:
    """Return the references in a spec, a status or the content of a version of a kind, in their order.

    Texts that are no references are left out: a user with rights on a status may write any text into it.
    """
    return tuple(text for text in _reference_texts(kind, content) if is_version_reference(text))


def _reference_texts(kind: str, content: Json) -> tuple[str, ...]:
    reference = REFERENCES.get(kind)
    value = content.get(reference.field) if reference else None
    return (value,) if isinstance(value, str) else tuple(value or ())
