"""What a reconcile found: the state of the newest version's operation and why."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from modelyard.api.revision import Revision
from modelyard.api.status import ErrorResponse, State


@dataclass(frozen=True)
class Outcome:
    """Becomes the status, its conditions and, on a change of state, an event."""

    state: State
    reason: str  # one CamelCase word
    message: str  # a sentence for people
    record: Revision | None = None  # the newest version, when there is one
    error: ErrorResponse | None = None
    retrying: bool = False  # a failure that the operator tries again by itself
    ready: bool = True  # of a Succeeded operation: does what it made work now, and do others know of it?
    fields: Mapping[str, Any] = field(default_factory=dict)  # the kind's own part of the status
    conditions: Mapping[str, tuple[bool, str, str]] = field(default_factory=dict)  # further ones
    requeue_after: float | None = None  # seconds


def waiting(reason: str, message: str, record: Revision | None = None, **more: Any) -> Outcome:
    """Something that is referred to does not exist yet; it goes on by itself when it appears."""
    return Outcome(State.NOT_STARTED, reason, message, record, **more)


def failed(code: str, message: str, record: Revision | None = None, **more: Any) -> Outcome:
    """The operation failed; `code` is the error's and the condition's."""
    error = more.pop("error", None) or ErrorResponse(code=code, message=message)
    return Outcome(State.FAILED, code, message, record, error=error, **more)
