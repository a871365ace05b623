"""The status of an operation: from the ControllerRevision after its end, from the object's status before."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from modelyard.api.kinds import Kind
from modelyard.api.names import GROUP
from modelyard.api.revision import Revision
from modelyard.api.status import State
from modelyard.kube.types import Json


def revision_selector(kind: Kind, names: tuple[str, ...] = ()) -> str:
    """The label selector of a kind's versions, or of those of some objects."""
    label = f"{GROUP}/{kind.singular}"
    return f"{label} in ({','.join(sorted(set(names)))})" if names else label


@dataclass(frozen=True)
class OperationStatus:
    """How an operation goes."""

    state: State
    error: Json | None = None
    ended: str | None = None
    message: str = ""


def operation_status(version: Revision, owner: Json | None) -> OperationStatus:
    """From the record when the operation has ended, from its object's status before."""
    if version.state:
        return OperationStatus(version.state, version.error, version.ended)
    status: dict[str, Any] = (owner or {}).get("status") or {}
    same = owner is not None and owner["metadata"]["uid"] == version.owner_uid
    if not same or status.get("version") != version.version:
        return OperationStatus(State.NOT_STARTED)
    ready: Json = next((c for c in status.get("conditions", ()) if c["type"] == "Ready"), {})
    state = State(status.get("state", State.NOT_STARTED))
    ended = ready.get("lastTransitionTime") if state.ended else None
    message = status.get("progress") or ready.get("message", "")
    return OperationStatus(state, status.get("error"), ended, message)
