"""The parameter types of inference_schema's decorators: their samples decide shapes and data types.

The package has no function that returns the types. The decorators' functions hold them in their closures.
"""

import inspect
import sys
from collections.abc import Callable, Sequence
from typing import Any

from modelyard.scoring.worker import inference_schema
from modelyard.scoring.worker.hints import Schema
from modelyard.scoring.worker.inference_protocol.descriptions import (
    Description,
    described_array,
    described_by_schema,
    output_name,
)


def types_of(run: Any) -> dict[str, Any]:
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


def is_array_sample(sample: Any) -> bool:
    """Return True for a sample that is a numpy array of one dtype."""
    numpy = sys.modules.get("numpy")
    return numpy is not None and isinstance(sample, numpy.ndarray) and sample.dtype.names is None


def is_table_sample(sample: Any) -> bool:
    """Return True for a sample that is a pandas.DataFrame."""
    pandas = sys.modules.get("pandas")
    return pandas is not None and isinstance(sample, pandas.DataFrame)


def inputs_of_samples(run: Callable[..., Any], parameters: Sequence[inspect.Parameter]) -> list[Description]:
    """Return the inputs of a decorated run(); of a table an input for each column."""
    types, properties = types_of(run), inference_schema.schemas(run)[0].get("properties", {})
    found = []
    for parameter in parameters:
        name = parameter.name
        sample: Any = getattr(types.get(name), "sample_input", None)
        if is_array_sample(sample):
            found.append(described_array(name, sample.dtype, list(sample.shape[1:])))
        elif is_table_sample(sample):
            found += [described_array(str(column), dtype, []) for column, dtype in sample.dtypes.items()]
        else:
            found.append(described_by_schema(name, properties.get(name, {})))
    return found


def outputs_of_schema(run: Callable[..., Any]) -> list[Description]:
    """Return the outputs by @output_schema: the columns of a table, or one."""
    schema: Schema = inference_schema.schemas(run)[1]
    columns = schema.get("items", {}).get("properties") if schema.get("type") == "array" else None
    if columns:
        return [
            described_by_schema(column, {"type": "array", "items": items})
            for column, items in columns.items()
        ]
    return [] if schema.get("type") == "object" else [described_by_schema(output_name(0), schema)]
