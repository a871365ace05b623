"""The parameter types of inference_schema's decorators: their samples decide shapes and data types.

The package has no function that returns the types. The decorators' functions hold them in their closures.
"""

import inspect
import sys
from collections.abc import Callable, Sequence
from typing import Any

from modelyard.scoring.worker import inference_schema
from modelyard.scoring.worker.hints import Schema
from modelyard.scoring.worker.inference_protocol.parameters import (
    ArrayParameter,
    Description,
    TableParameter,
    TensorParameter,
    described_by_schema,
)


def parameters_of(run: Callable[..., Any], parameters: Sequence[inspect.Parameter]) -> list[TensorParameter]:
    """Return the parameters of a decorated run()."""
    types = _types(run)
    properties = inference_schema.schemas(run)[0].get("properties", {})
    return [_of_type(one, types.get(one.name), properties.get(one.name, {})) for one in parameters]


def outputs_of(run: Callable[..., Any], name: str) -> list[Description]:
    """Return the outputs by @output_schema: the columns of a table, or one of this name."""
    schema: Schema = inference_schema.schemas(run)[1]
    columns = schema.get("items", {}).get("properties") if schema.get("type") == "array" else None
    if columns:
        return [
            described_by_schema(column, {"type": "array", "items": items})
            for column, items in columns.items()
        ]
    return [] if schema.get("type") == "object" else [described_by_schema(name, schema)]


def _types(run: Any) -> dict[str, Any]:
    """Return the types by parameter name, without those that this version of the package hides elsewhere."""
    found = {}
    while hasattr(run, "__wrapped__"):
        decorator = getattr(run, "_self_wrapper", None)
        if inspect.isfunction(decorator):
            values = inspect.getclosurevars(decorator).nonlocals
            if "param_type" in values and "param_name" in values:
                found[values["param_name"]] = values["param_type"]
        run = run.__wrapped__
    return found


def _of_type(parameter: inspect.Parameter, kind: Any, schema: Schema) -> TensorParameter:
    sample = getattr(kind, "sample_input", None)
    numpy, pandas = sys.modules.get("numpy"), sys.modules.get("pandas")
    if numpy is not None and isinstance(sample, numpy.ndarray) and sample.dtype.names is None:
        dtype = sample.dtype if kind.enforce_column_type else None
        shape = sample.shape[1:] if kind.enforce_shape and sample.ndim else None
        return ArrayParameter(parameter, _unchanged, dtype, shape)
    if pandas is not None and isinstance(sample, pandas.DataFrame):
        return TableParameter(parameter, _unchanged, sample if kind.enforce_column_type else None)
    if kind is None or isinstance(sample, list | tuple):
        return TensorParameter(parameter, schema, _unchanged)
    return TensorParameter(parameter, schema, _single_value)


def _unchanged(value: Any) -> Any:
    """Return the value: the decorators convert it."""
    return value


def _single_value(value: Any) -> Any:
    """Return a value for a sample that is no list. Raises ValueError for a list."""
    if isinstance(value, list):
        raise ValueError("should have one element")  # noqa: TRY004 - the client's data
    return value
