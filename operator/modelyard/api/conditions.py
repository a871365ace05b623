"""The one place that writes conditions.

https://github.com/kubernetes/community/blob/master/contributors/devel/sig-architecture/api-conventions.md#typical-status-properties
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any


def build_conditions(
    wanted: Mapping[str, tuple[bool, str, str]],
    before: Sequence[Mapping[str, Any]],
    generation: int,
    now: str,
) -> list[dict[str, Any]]:
    """Conditions of type → (status, reason, message); lastTransitionTime moves only with the status."""
    known = {condition["type"]: condition for condition in before}
    return [
        {
            "type": type_,
            "status": str(status),
            "observedGeneration": generation,
            "lastTransitionTime": known[type_]["lastTransitionTime"]
            if type_ in known and known[type_]["status"] == str(status)
            else now,
            "reason": reason,
            "message": message,
        }
        for type_, (status, reason, message) in wanted.items()
    ]
