"""The status of an operation: from the revision after its end, from the object's status before."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from modelyard.api.conditions import find_condition
from modelyard.api.kinds import Kind
from modelyard.api.names import GROUP
from modelyard.api.revision import FullRevision
from modelyard.api.status import State, operation_end
from modelyard.kube.types import Json


def revision_selector(kind: Kind, names: tuple[str, ...] = ()) -> str:
    """Return the label selector of all revisions of a kind, or of those of some objects."""
    label = f"{GROUP}/{kind.singular}"
    return f"{label} in ({','.join(sorted(set(names)))})" if names else label


@dataclass(frozen=True)
class OperationStatus:
    """The state of an operation, its error, its end (RFC 3339) and its progress in words."""

    state: State
    error: Json | None = None
    ended: str | None = None
    message: str = ""


def operation_status(version: FullRevision, owner: Json | None) -> OperationStatus:
    """Return the status of a version's operation; `owner` is the object, None if it was deleted."""
    if version.state:
        return OperationStatus(version.state, version.error, version.ended)
    status: dict[str, Any] = (owner or {}).get("status") or {}
    is_owner = owner is not None and owner["metadata"]["uid"] == version.owner_uid
    if not is_owner or status.get("version") != version.version:
        return OperationStatus(State.NOT_STARTED)
    ready = find_condition("Ready", status) or {}
    state = State(status.get("state", State.NOT_STARTED))
    message = status.get("progress") or ready.get("message", "")
    return OperationStatus(state, status.get("error"), operation_end(status), message)
