"""The data types of tensors, with their forms in Python's struct and in numpy."""

from dataclasses import dataclass
from typing import Any, Final


@dataclass(frozen=True, slots=True)
class DataType:
    """A data type of the protocol."""

    name: str
    size: int
    """Bytes of an element; 0 for BYTES, whose elements have a length each."""
    code: str
    """The code in struct and memoryview."""
    dtype: str
    """The type in numpy, little-endian; objects for BYTES."""

    @property
    def is_integer(self) -> bool:
        """Return True for INT and UINT types."""
        return self.code in "bBhHiIqQ" and self.code != ""

    @property
    def is_float(self) -> bool:
        """Return True for FP types."""
        return self.name.startswith("FP")

    @property
    def bounds(self) -> tuple[int, int]:
        """Return the least and the largest integer of an integer type."""
        bits = 8 * self.size
        return (0, 2**bits - 1) if self.code.isupper() else (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1)


BYTES: Final = DataType("BYTES", 0, "", "O")
BOOL: Final = DataType("BOOL", 1, "?", "?")
INT64: Final = DataType("INT64", 8, "q", "<i8")
UINT64: Final = DataType("UINT64", 8, "Q", "<u8")
FP64: Final = DataType("FP64", 8, "d", "<f8")

DATA_TYPES: Final = {
    one.name: one
    for one in (
        BOOL,
        DataType("UINT8", 1, "B", "<u1"),
        DataType("UINT16", 2, "H", "<u2"),
        DataType("UINT32", 4, "I", "<u4"),
        UINT64,
        DataType("INT8", 1, "b", "<i1"),
        DataType("INT16", 2, "h", "<i2"),
        DataType("INT32", 4, "i", "<i4"),
        INT64,
        DataType("FP16", 2, "e", "<f2"),
        DataType("FP32", 4, "f", "<f4"),
        FP64,
        BYTES,
    )
}
"""All data types of the protocol by their names."""

_BY_KIND: Final = {(one.dtype[-2:]): one for one in DATA_TYPES.values() if one.size}


def data_type_of(dtype: Any) -> DataType | None:
    """Return the data type of a numpy dtype; BYTES for texts, bytes and objects; None for other types."""
    if dtype.kind in "SUO":
        return BYTES
    if dtype.kind == "b":
        return BOOL
    return _BY_KIND.get(f"{dtype.kind}{dtype.itemsize}")
