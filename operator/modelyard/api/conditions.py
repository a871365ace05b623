"""Conditions of a status, of this API or of Kubernetes. All conditions of the operator are built here.

https://github.com/kubernetes/community/blob/master/contributors/devel/sig-architecture/api-conventions.md#typical-status-properties
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

_VALUES: Final = {"True": True, "False": False}


def find_condition(type_: str, status: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return a condition of a status, None if the status has none of this type."""
    conditions = status.get("conditions", ())
    return next((condition for condition in conditions if condition["type"] == type_), None)


def value_of(condition: Mapping[str, Any]) -> bool | None:
    """Return the status of a condition, None for `Unknown`."""
    return _VALUES.get(condition["status"])


def is_true(type_: str, status: Mapping[str, Any]) -> bool:
    """Return True if a condition of a status is `True`."""
    condition = find_condition(type_, status)
    return condition is not None and condition["status"] == "True"


def true_since(type_: str, status: Mapping[str, Any]) -> str | None:
    """Return the lastTransitionTime (RFC 3339) of a condition that is `True`, None without one."""
    condition = find_condition(type_, status)
    if condition is None or condition["status"] != "True":
        return None
    since: str | None = condition.get("lastTransitionTime")
    return since


def build_conditions(
    desired: Mapping[str, tuple[bool | None, str, str]],
    previous: Sequence[Mapping[str, Any]],
    generation: int,
    now: str,
) -> list[dict[str, Any]]:
    """Return the conditions of a status.

    `desired` maps a condition type to its status, reason and message; None is the status `Unknown`.
    lastTransitionTime is `now` if the condition's status changed. Otherwise it is the previous time, as the
    API conventions require.
    """
    previous_by_type = {condition["type"]: condition for condition in previous}
    conditions = []
    for type_, (value, reason, message) in desired.items():
        before = previous_by_type.get(type_)
        status = "Unknown" if value is None else str(value)
        is_unchanged = before is not None and before["status"] == status
        conditions.append(
            {
                "type": type_,
                "status": status,
                "observedGeneration": generation,
                "lastTransitionTime": before["lastTransitionTime"] if before and is_unchanged else now,
                "reason": reason,
                "message": message,
            }
        )
    return conditions
