"""`azureml.api.schema.pythonUtil`: values of Python's own types by sample."""

import base64
import datetime as dt
import importlib
import json
from collections.abc import Callable
from typing import Any, Final

from modelyard.scoring.worker.azureml.openapi_types import MAX_SAMPLES
from modelyard.scoring.worker.azureml.schema_objects import DataTypes, InternalSchema, Schema


class PythonSchema(InternalSchema):
    """The type of a value."""

    def __init__(self, data_type: type) -> None:
        self.data_type = data_type


PythonSchema.__module__ = "azureml.api.schema.pythonUtil"  # as pickles in service_schema.json name it


class PythonUtil:
    """Makes schemas of values, and values of JSON."""

    type = DataTypes.STANDARD

    @classmethod
    def extract_schema(cls, data: Any) -> Schema:
        """Return the schema of a sample. Raises ValueError for None, TypeError unless it is JSON."""
        if data is None:
            raise ValueError("Python data cannot be None")
        swagger = _swagger(data)
        json.dumps(swagger)
        return Schema(cls.type, PythonSchema(type(data)), swagger)

    @classmethod
    def get_input_object(cls, parsed_input: Any, schema: Schema) -> Any:
        """Return the value. Raises ValueError or TypeError if it has not the sample's type."""
        internal: Any = schema.internal
        expected = internal.data_type
        value = parsed_input
        if expected is dt.date:
            value = dt.date.fromisoformat(value)
        elif expected is dt.datetime:
            value = _datetime(value)
        elif expected is dt.time:
            value = _datetime(value).timetz()
        elif expected in (bytes, bytearray):
            value = expected(base64.b64decode(value))
        if not isinstance(value, expected):
            raise TypeError(
                f"Invalid input data type to parse. Expected: {expected} but got {type(parsed_input)}"
            )
        return value


def _datetime(text: str) -> dt.datetime:
    try:
        parser = importlib.import_module("dateutil.parser")
    except ImportError:
        return dt.datetime.fromisoformat(text)
    parsed: dt.datetime = parser.parse(text)
    return parsed


def _swagger(data: Any) -> dict[str, Any]:
    """Return the OpenAPI schema of a value, with the value as its example."""
    if isinstance(data, (list, tuple, range)):
        item = {"type": "integer", "format": "int64"} if isinstance(data, range) else {"type": "object"}
        return {"type": "array", "items": item, "example": list(data[:MAX_SAMPLES])}
    if isinstance(data, dict):
        return {"type": "object", "additionalProperties": {"type": "object"}, "example": data}
    for types, schema, example in _SCALARS:
        if isinstance(data, types):
            return {**schema, "example": example(data)}
    return {"type": "object", "example": data}


def _utc(moment: Any, text_format: str) -> str:
    return str((moment if moment.tzinfo else moment.replace(tzinfo=dt.UTC)).strftime(text_format))


def _base64(data: bytes | bytearray) -> str:
    return base64.b64encode(data).decode()


# The first type that fits counts: bool is an int, and datetime is a date.
_SCALARS: Final[tuple[tuple[Any, dict[str, str], Callable[[Any], Any]], ...]] = (
    (bool, {"type": "boolean"}, bool),
    (int, {"type": "integer", "format": "int64"}, int),
    (float, {"type": "number", "format": "double"}, float),
    (str, {"type": "string"}, str),
    ((bytes, bytearray), {"type": "string", "format": "byte"}, _base64),
    (
        dt.datetime,
        {"type": "string", "format": "date-time"},
        lambda data: _utc(data, "%Y-%m-%d %H:%M:%S.%f %z"),
    ),
    (dt.date, {"type": "string", "format": "date"}, dt.date.isoformat),
    (dt.time, {"type": "string", "format": "time"}, lambda data: _utc(data, "%H:%M:%S.%f %z")),
)
