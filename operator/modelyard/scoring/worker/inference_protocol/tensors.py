"""The elements of an input tensor, as a numpy array or as nested lists."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate
from math import prod
from operator import mul
from struct import unpack
from typing import Any, Final

from modelyard.scoring.worker.inference_protocol.datatypes import BYTES, DataType

MAX_OBJECTS: Final = 8 * 1024 * 1024
"""Elements, and rows, that become Python objects. Each takes about 40 bytes: 8 Mi take 350 MB.

A JSON body of 100 MiB, the default limit, has about as many numbers.
"""


@dataclass(frozen=True, slots=True)
class Tensor:
    """An input: its elements fit its shape and its data type."""

    name: str
    datatype: DataType
    shape: tuple[int, ...]
    data: memoryview | list[Any]
    """Elements in row-major order: little-endian binary data, or values.

    The values of BYTES are texts or bytes.
    """

    @property
    def size(self) -> int:
        """Return the number of elements."""
        return prod(self.shape)

    def array(self, numpy: Any) -> Any:
        """Return a numpy array that may be written. Large binary data is not copied.

        The elements of BYTES are bytes. Raises ValueError if numpy has no array of this shape.
        """
        if self.datatype is BYTES:
            array = numpy.empty(self.size, dtype=object)
            array[:] = [one.encode() if isinstance(one, str) else one for one in self.data]
        elif isinstance(self.data, list):
            array = _array_of_numbers(self, numpy)
        else:
            array = numpy.frombuffer(self.data, dtype=self.datatype.dtype)
            if not (array.flags.aligned and array.flags.writeable):
                array = array.copy()
        return array.reshape(self.shape)

    def nested(self) -> Any:
        """Return the elements as lists of lists, BYTES as texts; without dimensions the only element.

        Raises ValueError if the lists take too much memory, or BYTES are not UTF-8.
        """
        # A dimension of length 0 makes the product 0, but the dimensions before it still have lists.
        if max(accumulate(self.shape, mul, initial=1)) > MAX_OBJECTS:
            raise ValueError(
                f"has more than {MAX_OBJECTS} elements, the limit for a parameter of run() without the type"
                " numpy.ndarray"
            )
        return _nested(self.elements(), self.shape)

    def elements(self) -> Sequence[Any]:
        """Return the elements in row-major order, BYTES as texts. Raises ValueError if they are not UTF-8."""
        if self.datatype is BYTES:
            try:
                return [str(one, "utf-8") if isinstance(one, bytes) else str(one) for one in self.data]
            except UnicodeDecodeError:
                raise ValueError("has an element that is not UTF-8") from None
        if isinstance(self.data, list):
            return self.data
        return unpack(f"<{self.size}{self.datatype.code}", self.data)


def _nested(elements: Sequence[Any], shape: tuple[int, ...]) -> Any:
    if not shape:
        return elements[0]
    rows: Sequence[Any] = elements
    for position in range(len(shape) - 1, 0, -1):
        length, count = shape[position], prod(shape[:position])
        rows = [list(rows[row * length : (row + 1) * length]) for row in range(count)]
    return list(rows)


def _array_of_numbers(tensor: Tensor, numpy: Any) -> Any:
    """Return the array of JSON values. Raises ValueError if a number is too large for the data type."""
    if not tensor.datatype.is_float:
        return numpy.array(tensor.data, dtype=tensor.datatype.dtype)
    exact = numpy.array(tensor.data, dtype="<f8")  # null becomes NaN
    return cast_array(exact, numpy.dtype(tensor.datatype.dtype), numpy)


def cast_array(array: Any, dtype: Any, numpy: Any) -> Any:
    """Return the array with another dtype. Floats may be rounded; nothing else changes a value.

    Raises ValueError if a value does not fit.
    """
    if array.dtype == dtype:
        return array
    source, target = array.dtype.kind, dtype.kind
    if target in "iu" and source in "iuf":
        if not _fits_integers(array, numpy.iinfo(dtype), numpy):
            raise ValueError(f"should be whole numbers that fit into {dtype}")
        return array.astype(dtype)
    if target == "f" and source in "iuf":
        with numpy.errstate(over="ignore"):
            floats = array.astype(dtype)
        if dtype.itemsize < 8 and (numpy.isinf(floats) & numpy.isfinite(array)).any():
            raise ValueError(f"has a number that is too large for {dtype}")
        return floats
    if target in "USMO" and source == "O":
        return array if target == "O" else _array_of_texts(array, dtype, numpy)
    raise ValueError(f"should have elements of the type {dtype}")


def _fits_integers(array: Any, limits: Any, numpy: Any) -> bool:
    if not array.size:
        return True
    if array.dtype.kind == "f" and not (numpy.isfinite(array) & (array == numpy.floor(array))).all():
        return False
    return bool(limits.min <= int(array.min()) and int(array.max()) <= limits.max)


def _array_of_texts(array: Any, dtype: Any, numpy: Any) -> Any:
    """Return BYTES as texts, fixed-size bytes or dates. Raises ValueError if an element is none of them."""
    flat = array.ravel().tolist()
    values = flat if dtype.kind == "S" else [str(one, "utf-8") for one in flat]
    return numpy.array(values, dtype=dtype).reshape(array.shape)
