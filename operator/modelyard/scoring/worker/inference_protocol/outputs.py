"""From the result of run() to output tensors.

| result                             | outputs                                       |
|------------------------------------|-----------------------------------------------|
| array, tensor, nested list, number | one, `output-0`                               |
| tuple                              | one for each item: `output-0`, `output-1`, …  |
| dict with texts as keys            | one for each key                              |
| pandas.DataFrame                   | one for each column                           |
| anything else that is JSON         | BYTES with one element, the JSON text         |
"""

import json
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from modelyard.scoring.worker.inference_protocol.datatypes import (
    BOOL,
    BYTES,
    FP64,
    INT64,
    UINT64,
    DataType,
    data_type_of,
)
from modelyard.scoring.worker.inference_protocol.descriptions import output_name
from modelyard.scoring.worker.json_values import NotJsonError, encoded, is_position, json_type

JSON_TEXT: Final = {"content_type": "application/json"}
"""Parameters of an output whose element is a JSON text."""


@dataclass(frozen=True, slots=True)
class OutputTensor:
    """An output: the elements in row-major order, in a numpy array or in a flat list."""

    datatype: DataType
    shape: tuple[int, ...]
    elements: Any
    parameters: Mapping[str, Any] = field(default_factory=dict)


def outputs_of(result: Any) -> dict[str, OutputTensor]:
    """Return the outputs by name. Raises NotJsonError if a value is neither a tensor nor JSON."""
    if isinstance(result, tuple) and result:
        names = getattr(result, "_fields", None) or map(output_name, range(len(result)))
        return {name: _tensor(one) for name, one in zip(names, result, strict=True)}
    if isinstance(result, dict) and result and all(isinstance(name, str) for name in result):
        return {name: _tensor(one) for name, one in result.items()}
    if _is_of_pandas(result) and hasattr(result, "columns"):
        return _columns(result)
    if not isinstance(result, _PLAIN) and not _is_array(result) and not _is_of_pandas(result):
        return outputs_of(json_type(result))  # a dataclass or a model has a name for each field
    return {output_name(0): _tensor(result)}


def _columns(frame: Any) -> dict[str, OutputTensor]:
    """Return the columns of a table; an index with labels is the first ones, as in JSON."""
    if not is_position(frame.index):
        frame = frame.reset_index()
    names = [str(name) for name in frame.columns.tolist()]
    if len(set(names)) != len(names):
        raise NotJsonError("run() returned columns of a DataFrame that have the same name")
    return {name: _tensor(frame.iloc[:, position]) for position, name in enumerate(names)}


def _is_of_pandas(value: Any) -> bool:
    return type(value).__module__.partition(".")[0] == "pandas"


def _is_array(value: Any) -> bool:
    """Return True for arrays and scalars of numpy, and for tensors of other libraries, if numpy is there."""
    has_shape = hasattr(value, "dtype") and hasattr(value, "shape") and not isinstance(value, type)
    return has_shape and not _is_of_pandas(value) and "numpy" in sys.modules


def _tensor(value: Any) -> OutputTensor:
    """Return a value as a tensor, or else as a JSON text."""
    if _is_of_pandas(value):
        if getattr(getattr(value, "dtype", None), "kind", "") not in "biuf" or not _is_array(value.array):
            return _tensor(json.loads(encoded(value)))
        value = value.to_numpy()
    elif not isinstance(value, _PLAIN) and not _is_array(value):
        value = json.loads(encoded(value))
    if _is_array(value):
        found = _of_array(value)
    elif isinstance(value, list):
        found = _of_list(value)
    else:
        found = _of_elements([value], (1,)) if isinstance(value, _SINGLE) else None
    return found or OutputTensor(BYTES, (1,), [encoded(value)], JSON_TEXT)


def _of_array(value: Any) -> OutputTensor | None:
    """Return a tensor; None if the protocol has no such data type. A scalar has the shape [1]."""
    numpy = sys.modules["numpy"]
    array = numpy.asarray(_without_mask(value, numpy))
    shape = array.shape or (1,)
    if array.dtype.kind == "O":
        return _of_elements(array.ravel().tolist(), shape)
    if array.dtype.kind == "M":
        texts = json.loads(encoded(array.ravel()))
        return _of_elements(texts, shape)
    datatype = data_type_of(array.dtype)
    if datatype is BYTES:
        return OutputTensor(BYTES, shape, array.ravel().tolist())
    if datatype is None:
        return None
    return OutputTensor(datatype, shape, numpy.ascontiguousarray(array, dtype=datatype.dtype).reshape(-1))


def _without_mask(value: Any, numpy: Any) -> Any:
    """Return a masked array with NaN for the masked items. Raises NotJsonError if its dtype has no NaN."""
    if not isinstance(value, numpy.ma.MaskedArray) or not numpy.ma.is_masked(value):
        return value
    if value.dtype.kind != "f":
        raise NotJsonError(f"run() returned masked items of {value.dtype}, which has no NaN")
    return value.filled(numpy.nan)


def _of_list(value: list[Any]) -> OutputTensor | None:
    """Return a nested list as a tensor; None if it is none: ragged, or with items of other types."""
    shape: tuple[int, ...] = (len(value),)
    elements = value
    while elements and all(type(one) is list for one in elements):
        length = len(elements[0])
        if any(len(one) != length for one in elements):
            return None
        shape = (*shape, length)
        elements = [one for row in elements for one in row]
    if any(map(_is_array, elements)):
        return _of_list_of_arrays(value)
    return _of_elements(elements, shape)


def _of_list_of_arrays(value: list[Any]) -> OutputTensor | None:
    numpy = sys.modules["numpy"]
    try:
        array = numpy.asarray(value)
    except (ValueError, TypeError):  # arrays of different shapes
        return None
    return None if array.dtype.kind == "O" else _of_array(array)


def _of_elements(elements: list[Any], shape: tuple[int, ...]) -> OutputTensor | None:
    """Return Python values as a tensor of the data type that has all of them; None if there is none."""
    types = set(map(type, elements))
    if float in types and types <= {int, float, type(None)}:
        if any(type(one) is int and not _is_exact(one) for one in elements):
            return None
        return OutputTensor(FP64, shape, [float("nan") if one is None else float(one) for one in elements])
    datatype = _integer_type(elements) if types == {int} else _TYPES.get(frozenset(types))
    return OutputTensor(datatype, shape, elements) if datatype else None


def _integer_type(numbers: list[int]) -> DataType | None:
    least, largest = min(numbers), max(numbers)
    fitting = (one for one in (INT64, UINT64) if one.bounds[0] <= least and largest <= one.bounds[1])
    return next(fitting, None)


def _is_exact(number: int) -> bool:
    """Return True if a float has the same value."""
    try:
        return float(number) == number
    except OverflowError:
        return False


_SINGLE: Final = (str, bytes, bool, int, float)
_PLAIN: Final = (*_SINGLE, list, dict, tuple, type(None))
_TYPES: Final = {
    frozenset[type](): FP64,
    frozenset({bool}): BOOL,
    frozenset({str}): BYTES,
    frozenset({bytes}): BYTES,
    frozenset({str, bytes}): BYTES,
}
"""Data types by the Python types of the elements; of an empty list the usual one of numpy."""
