"""Resource limits of the scoring container, and requests beside `containerResourceReservation`."""

from __future__ import annotations

from typing import Annotated, Any, Final

from pydantic import BeforeValidator, Field, SkipValidation

from modelyard.api.base import ApiType, without_nulls
from modelyard.api.quantities import INT_OR_STRING, in_bounds, is_in_bounds, quantity_of
from modelyard.api.rules import Rule

_LIMITED: Final = ("cpu", "memory", "ephemeral-storage")
_REQUESTED: Final = ("ephemeral-storage",)
_MINIMUM, _MAXIMUM = "0", "1E"
_Amount = Annotated[SkipValidation[str | int], INT_OR_STRING]
_AMOUNTS_RULE: Final = Rule(
    cel=f"self.all(name, {in_bounds('string(self[name])', _MINIMUM, _MAXIMUM)})",
    message=f"each amount must be a Kubernetes quantity from {_MINIMUM} to {_MAXIMUM}, such as 1 or 2Gi",
    is_valid=lambda amounts: all(map(is_in_bounds(_MINIMUM, _MAXIMUM), amounts.values())),
)
_NO_NULLS: Final = BeforeValidator(without_nulls)


def _names(*names: str) -> str:
    return ", ".join(map(repr, names))


Limits = Annotated[
    dict[str, _Amount],
    Field(max_length=16),
    Rule(
        cel=f"self.all(name, name in [{_names(*_LIMITED)}] || name.contains('/'))",
        message=f"limits allows {', '.join(_LIMITED)} and extended resources such as nvidia.com/gpu",
        is_valid=lambda limits: all(name in _LIMITED or "/" in name for name in limits),
    ),
    _AMOUNTS_RULE,
    _NO_NULLS,
]
Requests = Annotated[
    dict[str, _Amount],
    Field(max_length=4),
    Rule(
        cel=f"self.all(name, name in [{_names(*_REQUESTED)}])",
        message="requests allows only ephemeral-storage: reserve cpu and memory in"
        " containerResourceReservation, and name extended resources in limits",
        is_valid=lambda requests: set(requests) <= set(_REQUESTED),
    ),
    _AMOUNTS_RULE,
    _NO_NULLS,
]


class Resources(ApiType):
    """Resource limits, and requests beside containerResourceReservation."""

    limits: Limits | None = None
    """Maximum of each resource: cpu, memory, ephemeral-storage, and extended resources such as
    nvidia.com/gpu. The limits of the chart (scoring.limits) apply to resources that are not named here."""
    requests: Requests | None = None
    """Requests beside containerResourceReservation: ephemeral-storage."""


def limit_rule(resource: str, default: str) -> Rule:
    """Return the rule of a Service whose limit must not be below the reservation of the resource.

    `default` is the reservation of a Service without one.
    """
    limits, reservation = "self.pod.resources.limits", "self.containerResourceReservation"
    reserved = (
        f"(has({reservation}) && has({reservation}.{resource})"
        f" ? string({reservation}.{resource}) : '{default}')"
    )
    limit = f"string({limits}['{resource}'])"

    def is_valid(spec: Any) -> bool:
        limits = (spec.pod.resources.limits if spec.pod and spec.pod.resources else None) or {}
        limit = quantity_of(limits.get(resource))
        if limit is None:
            return True
        reservation = spec.container_resource_reservation
        reserved = quantity_of((reservation and getattr(reservation, resource)) or default)
        return reserved is None or limit >= reserved

    return Rule(
        cel=f"!has(self.pod) || !has(self.pod.resources) || !has({limits}) || !('{resource}' in {limits})"
        f" || !isQuantity({limit}) || !isQuantity({reserved})"
        f" || !quantity({limit}).isLessThan(quantity({reserved}))",
        message=f"pod.resources.limits.{resource} must not be below containerResourceReservation.{resource}"
        f" (default {default})",
        is_valid=is_valid,
        field=".pod.resources.limits",
    )
