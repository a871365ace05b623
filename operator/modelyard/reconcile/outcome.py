"""The result of a reconcile: the state of the newest version's operation, with its reason."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final

from modelyard.api.revision import Revision
from modelyard.api.status import ErrorResponse, State

_NAME_TAKEN_RETRY_SECONDS: Final = 30.0
Condition = tuple[bool | None, str, str]  # status (None: Unknown), reason, message


@dataclass(frozen=True)
class Outcome:
    """Input of the status writer: it becomes the status, its conditions and, on a state change, an event."""

    state: State
    reason: str  # one CamelCase word
    message: str  # a sentence for users
    revision: Revision | None = None  # the newest version, None before the first
    error: ErrorResponse | None = None
    retrying: bool = False  # the operator retries the failed operation
    ready: bool = True  # for a Succeeded operation: whether the object is Ready
    stalled: bool = False  # an operation that has not failed cannot go on without a change by a user
    fields: Mapping[str, Any] = field(default_factory=dict)  # status fields of this kind only
    conditions: Mapping[str, Condition] = field(default_factory=dict)  # conditions of this kind only, by type
    requeue_after: float | None = None  # seconds
    keeps_status: bool = False  # the status stays: an answer that decides the state is expected soon

    @property
    def needs_user(self) -> bool:
        """True if the operation cannot go on without a change by a user: the condition `Stalled`."""
        return self.stalled or (self.state in {State.FAILED, State.CANCELLED} and not self.retrying)

    def requeue_within(self, seconds: float | None) -> Outcome:
        """Return the outcome, with a requeue after these seconds at the latest; None changes nothing."""
        waits = (seconds, self.requeue_after)
        return replace(self, requeue_after=min((wait for wait in waits if wait is not None), default=None))


def waiting(reason: str, message: str, revision: Revision | None = None, **fields: Any) -> Outcome:
    """Return an outcome for an operation that waits for another object to appear."""
    return Outcome(State.NOT_STARTED, reason, message, revision, **fields)


def failed(code: str, message: str, revision: Revision | None = None, **fields: Any) -> Outcome:
    """Return an outcome for a failed operation; `code` is the error's code and the conditions' reason."""
    error = fields.pop("error", None) or ErrorResponse(code=code, message=message)
    return Outcome(State.FAILED, code, message, revision, error=error, **fields)


def name_taken(error: Exception, revision: Revision | None = None, **fields: Any) -> Outcome:
    """Return an outcome for a child whose name belongs to an object of another owner (NameTaken).

    The cluster does not report the deletion of that object to the operator, so the operator retries.
    """
    return failed("NameTaken", str(error), revision, requeue_after=_NAME_TAKEN_RETRY_SECONDS, **fields)
