"""Quantities of Kubernetes: `100m`, `512Mi`, `1e3`.

https://kubernetes.io/docs/reference/kubernetes-api/common-definitions/quantity/
"""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Final

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
