"""`azureml.api.schema.pandasUtil`: tables of pandas by sample."""

import importlib
from typing import Any

import numpy as np

from modelyard.scoring.worker.azureml.openapi_types import MAX_SAMPLES, sample_of, schema_of_dtype
from modelyard.scoring.worker.azureml.schema_objects import DataTypes, InternalSchema, Schema

pd: Any = importlib.import_module("pandas")  # it has no types


class PandasSchema(InternalSchema):
    """The shape of a table, and the names and dtypes of its columns."""

    def __init__(self, shape: tuple[int, ...], column_names: list[Any], column_types: list[Any]) -> None:
        self.shape = shape
        self.column_names = column_names
        self.column_types = column_types
        self.schema_map = dict(zip(column_names, column_types, strict=True))


PandasSchema.__module__ = "azureml.api.schema.pandasUtil"  # as pickles in service_schema.json name it


class PandasUtil:
    """Makes schemas of tables, and tables of JSON."""

    type = DataTypes.PANDAS

    @classmethod
    def extract_schema(cls, data_frame: Any) -> Schema:
        """Return the schema of a sample. Raises TypeError if it is no DataFrame."""
        if not isinstance(data_frame, pd.DataFrame):
            raise TypeError("Only valid pandas data frames can be passed in to extract schema from.")
        columns = data_frame.columns.tolist()
        properties = {name: schema_of_dtype(_dtype_of(data_frame[name])) for name in columns}
        swagger = {"type": "array", "items": {"type": "object", "properties": properties}}
        rows = [data_frame.iloc[index] for index in range(min(len(data_frame), MAX_SAMPLES))]
        swagger["example"] = [sample_of(swagger["items"], row) for row in rows]  # type: ignore[arg-type]
        internal = PandasSchema(data_frame.shape, columns, data_frame.dtypes.tolist())
        return Schema(cls.type, internal, swagger)

    @classmethod
    def get_input_object(cls, raw_input_value: Any, schema: Schema) -> Any:
        """Return the table of a list of records. Raises ValueError or TypeError for other values.

        Dates and durations are converted; other columns have the dtype of their values, as in 2017.
        """
        if not isinstance(raw_input_value, list):
            raise TypeError("Invalid input format: expected an array of items.")
        internal: Any = schema.internal
        rows = [_row(row, internal.schema_map) for row in raw_input_value]
        return pd.DataFrame(data=rows, columns=internal.column_names)


def _dtype_of(column: Any) -> Any:
    """Return the dtype of a column; of texts that of str, although pandas stores them as objects."""
    if column.dtype == object and len(column) and isinstance(column.iloc[0], str):
        return np.dtype("str")
    return column.dtype


def _row(row: Any, types: dict[str, Any]) -> dict[str, Any]:
    if not isinstance(row, dict):
        raise TypeError("Invalid input format: each item should be an object with a field per column.")
    missing = [name for name in types if name not in row]
    if missing:
        raise ValueError(f"Invalid input: the column {missing[0]!r} is missing.")
    return {name: _value(row[name], dtype) for name, dtype in types.items()}


def _value(value: Any, dtype: Any) -> Any:
    if dtype.kind == "M":
        if not isinstance(value, str):
            raise TypeError(f"Invalid input: a date should be a text, not {value!r}.")
        return pd.Timestamp(value).to_pydatetime()
    return pd.Timedelta(value) if dtype.kind == "m" else value
