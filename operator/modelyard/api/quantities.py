"""Types of Kubernetes quantities, with bounds that the API server checks."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Annotated, Any, Final, cast

from pydantic import SkipValidation, WithJsonSchema

from modelyard.api.rules import Rule
from modelyard.kube.quantity import QUANTITY, parse_quantity

MAX_LENGTH: Final = 32  # characters of a quantity


def quantity_rule(field: str, minimum: str, maximum: str, examples: str) -> Rule:
    """Return the rule of a field that is a quantity between two bounds."""
    return Rule(
        cel=in_bounds("string(self)", minimum, maximum),
        message=f"{field} must be a Kubernetes quantity from {minimum} to {maximum}, such as {examples}",
        is_valid=is_in_bounds(minimum, maximum),
    )


def in_bounds(text: str, minimum: str, maximum: str) -> str:
    """Return the CEL expression that is true if the string `text` is a quantity between two bounds."""
    return (
        f"{text}.matches(r'{QUANTITY.pattern}')"
        f" && !quantity({text}).isLessThan(quantity('{minimum}'))"
        f" && !quantity({text}).isGreaterThan(quantity('{maximum}'))"
    )


def is_in_bounds(minimum: str, maximum: str) -> Callable[[Any], bool]:
    """Return the function that is true for a value that is a quantity between two bounds."""
    low, high = (cast(Decimal, parse_quantity(bound)) for bound in (minimum, maximum))

    def is_valid(quantity: Any) -> bool:
        value = quantity_of(quantity)
        return value is not None and low <= value <= high

    return is_valid


def quantity_of(quantity: Any) -> Decimal | None:
    """Return the value of a quantity in its base unit, None for a value of another type, length or form."""
    if not isinstance(quantity, str | int) or len(str(quantity)) > MAX_LENGTH:
        return None
    return parse_quantity(quantity)


# The rule is the only check of type and value, so every wrong value gets the same message.
INT_OR_STRING: Final = WithJsonSchema({"x-kubernetes-int-or-string": True, "maxLength": MAX_LENGTH})
Cpu = Annotated[
    SkipValidation[str | int],
    INT_OR_STRING,
    quantity_rule("cpu", "1m", "10k", '100m, 2 or "0.5" in quotes'),
]
Memory = Annotated[
    SkipValidation[str | int],
    INT_OR_STRING,
    quantity_rule("memory", "1Mi", "1Pi", "512Mi or 2G; the suffix m means 1/1000"),
]
