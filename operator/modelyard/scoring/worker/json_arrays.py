"""Large arrays of numbers as JSON, by msgspec: the numbers of the standard library, in a tenth of its time.

The text has no blanks, and exponents of its own form (1e16, not 1e+16).
"""

from typing import Any, Final

from modelyard.scoring.worker import msgspec_core

MIN_NUMBERS: Final = 512
"""Numbers of a large array: the standard library takes 0.2 ms for them."""

_NUMBERS: Final = {int, float}


def has_large_array(value: Any) -> bool:
    """Return True if the value is a large list or array, or a dict with one, and msgspec is loaded."""
    if msgspec_core.core is None:
        return False
    if type(value) is dict:
        return any(_is_large(one) for one in value.values())
    return _is_large(value)


def encoded_array(value: Any) -> bytes | None:
    """Return a large array of finite numbers as JSON; None for all other values."""
    if msgspec_core.core is None or not _is_large(value):
        return None
    if type(value) is not list:
        if value.dtype.kind not in "fiu" or value.dtype.itemsize > 8:
            return None
        value = value.tolist()
    elif not _has_numbers_only(value):
        return None
    text: bytes = msgspec_core.core.json_encode(value)
    return None if b"n" in text else text  # null stands for NaN, and for infinity


def _is_large(value: Any) -> bool:
    if type(value) is list:
        rows = len(value)
        return rows >= MIN_NUMBERS or (
            rows > 0 and type(value[0]) is list and rows * len(value[0]) >= MIN_NUMBERS
        )
    kind = type(value)
    return kind.__name__ == "ndarray" and kind.__module__ == "numpy" and value.size >= MIN_NUMBERS


def _has_numbers_only(value: list[Any]) -> bool:
    """Return True if all items are int or float, of exactly these types, or lists of them."""
    types = set(map(type, value))
    if types <= _NUMBERS:
        return True
    return types == {list} and all(map(_has_numbers_only, value))
