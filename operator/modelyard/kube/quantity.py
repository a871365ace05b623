"""Quantities of Kubernetes: `100m`, `512Mi`, `1e3`.

https://kubernetes.io/docs/reference/kubernetes-api/common-definitions/quantity/
"""

from __future__ import annotations

import re
from decimal import ROUND_FLOOR, Decimal
from typing import Final

_BINARY: Final = tuple(f"{prefix}i" for prefix in "KMGTPE")
_DECIMAL: Final = ("k", "M", "G", "T", "P", "E")
# Python and RE2 (CEL in a CRD) read this expression in the same way, so both sides accept the same texts.
QUANTITY: Final = re.compile(
    r"^([-+]?(?:[0-9]+\.?[0-9]*|\.[0-9]+))([numkMGTPE]|[KMGTPE]i|[eE][-+]?[0-9]{1,2})?$"
)
_UNITS: Final = {
    suffix: Decimal(10) ** power
    for suffix, power in {
        "": 0, "n": -9, "u": -6, "m": -3, "k": 3, "M": 6, "G": 9, "T": 12, "P": 15, "E": 18,
    }.items()
} | {f"{prefix}i": Decimal(1024) ** power for power, prefix in enumerate("KMGTPE", start=1)}  # fmt: skip


def parse_quantity(quantity: str | int) -> Decimal | None:
    """Return the value of a quantity in its base unit (cores, bytes), None if the text is not a quantity.

    `kubernetes.utils.parse_quantity` accepts `NaN` and `1_0`, which an API server rejects. Its import loads
    the whole `kubernetes` package and takes 1.5 s; `api/` needs quantities, too, but not that package.
    """
    match = QUANTITY.fullmatch(str(quantity))
    if match is None:
        return None
    number, suffix = match[1], match[2] or ""
    return Decimal(number) * (_UNITS.get(suffix) or Decimal(f"1{suffix}"))


def format_quantity(value: Decimal) -> str:
    """Return a quantity without a fraction, in the unit of the shortest exact text: `2Gi`, `8G`, `1001`.

    A fraction is rounded down: a limit of a part of a byte has no meaning.
    """
    whole = int(value.to_integral_value(ROUND_FLOOR))
    units = ((suffix, int(_UNITS[suffix])) for suffix in (*_BINARY, *_DECIMAL))
    texts = (f"{whole // unit}{suffix}" for suffix, unit in units if whole and whole % unit == 0)
    return min(texts, key=len, default=str(whole))
