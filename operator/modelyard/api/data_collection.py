"""`spec.dataCollection` of a Service: the records of scoring requests, and their destinations."""

from __future__ import annotations

from typing import Annotated, Final

from pydantic import Field, StringConstraints

from modelyard import json_path
from modelyard.api.base import INTEGER, ApiType, Boolean
from modelyard.api.rules import Rule

SAMPLING_PERCENT: Final = 100
MAX_BODY_BYTES: Final = 65_536
_BODY_LIMIT: Final = 1024 * 1024
_MAX_PATHS: Final = 64

FieldPath = Annotated[
    str,
    StringConstraints(min_length=1, max_length=json_path.MAX_LENGTH),
    Rule(
        cel=f"self.matches(r'{json_path.PATTERN.pattern}')",
        message="a path has names of fields with dots between them, such as data.ssn. * is each name,"
        " and [*] each item of a list, as in data[*].ssn",
        is_valid=lambda path: bool(json_path.PATTERN.fullmatch(path)),
    ),
]
FieldPaths = Annotated[tuple[FieldPath, ...], Field(max_length=_MAX_PATHS)]


class ModelDataCollection(ApiType):
    """Collection of the inputs and predictions of scoring requests."""

    event_hub_enabled: Boolean = False
    """If true, a record of each request is sent to the event hub of the platform or of the namespace.
    Default: false."""
    storage_enabled: Boolean = False
    """If true, a record of each request is written to the storage of the platform or of the namespace.
    Default: false."""
    sampling_percent: Annotated[int, Field(ge=1, le=100), INTEGER] | None = None
    """Percentage of the requests to keep, chosen by request id. Default: 100."""
    max_body_bytes: Annotated[int, Field(ge=1, le=_BODY_LIMIT), INTEGER] | None = None
    """Maximum bytes of an input and of a prediction in a record. A longer one is cut, and its size and hash
    are kept. Default: 65536."""
    leave_out: FieldPaths = ()
    """Paths of the fields of inputs and predictions that are left out, such as data.ssn or data[*].ssn. A
    body that is not JSON or was cut is then not kept."""
    hash: FieldPaths = ()
    """Paths of the fields of inputs and predictions that are replaced by a keyed hash of their value. The
    key is hashKey of the destination's Secret. Without this key the fields are left out."""

    @property
    def is_enabled(self) -> bool:
        """True if records have a destination."""
        return self.storage_enabled or self.event_hub_enabled
