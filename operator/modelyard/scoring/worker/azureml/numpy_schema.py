"""`azureml.api.schema.numpyUtil`: arrays of numpy by sample."""

from typing import Any, Final

import numpy as np

from modelyard.scoring.worker.azureml.openapi_types import (
    MAX_SAMPLES,
    sample_of,
    schema_of_array,
    schema_of_dtype,
)
from modelyard.scoring.worker.azureml.schema_objects import DataTypes, InternalSchema, Schema

_UNITS: Final = {
    "years": "Y", "months": "M", "weeks": "W", "days": "D", "hours": "h", "minutes": "m", "seconds": "s",
    "milliseconds": "ms", "microseconds": "us", "nanoseconds": "ns", "picoseconds": "ps",
    "femtoseconds": "fs", "attoseconds": "as",
}  # fmt: skip


class NumpySchema(InternalSchema):
    """The shape and dtype of an array."""

    def __init__(self, shape: tuple[int, ...], data_type: Any) -> None:
        self.shape = shape
        self.data_type = data_type


NumpySchema.__module__ = "azureml.api.schema.numpyUtil"  # as pickles in service_schema.json name it


class NumpyUtil:
    """Makes schemas of arrays, and arrays of JSON."""

    type = DataTypes.NUMPY

    @classmethod
    def extract_schema(cls, array: Any) -> Schema:
        """Return the schema of a sample. Raises TypeError if it is no array."""
        if not isinstance(array, np.ndarray):
            raise TypeError("Only valid numpy array can be passed in to extract schema from.")
        swagger = schema_of_array(schema_of_dtype(array.dtype), array.shape)
        swagger["example"] = [sample_of(swagger["items"], item) for item in array[:MAX_SAMPLES]]
        return Schema(cls.type, NumpySchema(array.shape, array.dtype), swagger)

    @classmethod
    def get_input_object(cls, raw_input_value: Any, schema: Schema) -> Any:
        """Return the array. Raises ValueError or TypeError unless it has the sample's shape and dtype.

        The first dimension may have another size.
        """
        if not isinstance(raw_input_value, list):
            raise TypeError("Invalid input format: expected an array of items.")
        internal: Any = schema.internal
        items = [_item(value, internal.data_type) for value in raw_input_value]
        array = np.array(items, dtype=internal.data_type)
        expected = internal.shape
        if array.ndim != len(expected):
            raise ValueError(
                f"Invalid input array: an array with {len(expected)} dimensions is expected; "
                f"input has {array.ndim} [shape {array.shape}]"
            )
        for dimension in range(1, len(expected)):
            if array.shape[dimension] != expected[dimension]:
                raise ValueError(
                    f"Invalid input array: array has size {array.shape[dimension]} on dimension "
                    f"#{dimension}, while expected value is {expected[dimension]}"
                )
        return array


def _item(value: Any, dtype: Any) -> Any:
    if dtype.names:
        return tuple(_item(value[name], dtype[name]) for name in dtype.names)
    if dtype.kind == "M":
        return np.datetime64(value)
    if dtype.kind == "m":
        return _timedelta(value)
    return value


def _timedelta(text: str) -> Any:
    number, _, unit = text.partition(" ")
    if unit.strip().lower() not in _UNITS:
        raise ValueError(
            f"Invalid numpy.timedelta64 value: {text!r}. It should be a number and a unit, as in '3 days'"
        )
    return np.timedelta64(int(number), _UNITS[unit.strip().lower()])  # type: ignore[call-overload]
