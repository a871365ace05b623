"""Inputs and outputs of run() for the metadata. Each start reads this module, so it loads no other."""

import inspect
from collections.abc import Iterable, Mapping
from typing import Any, Final

from modelyard.scoring.worker.hints import Hint, Schema

Description = dict[str, Any]
"""An input or output: name, datatype and shape."""

_NAMES_BY_KIND: Final = {"b": "BOOL", "i": "INT", "u": "UINT", "f": "FP"}


def output_name(position: int) -> str:
    """Return the name of an output without a name of its own (kserve's names)."""
    return f"output-{position}"


def inputs_of_hints(parameters: Iterable[inspect.Parameter], hints: Mapping[str, Hint]) -> list[Description]:
    """Return the inputs for parameters with type hints."""
    return [_input_of_hint(one.name, hints[one.name]) for one in parameters]


def outputs_of_hint(hint: Hint) -> list[Description]:
    """Return the outputs by the hint of the result; none for tables and objects, whose names are unknown."""
    if hint.target == "ndarray":
        return [described_array(output_name(0), hint.dtype, [])]
    if hint.target == "DataFrame" or hint.schema.get("type", "object") == "object":
        return []
    items = hint.schema.get("prefixItems")
    if items:
        return [described_by_schema(output_name(position), one) for position, one in enumerate(items)]
    return [described_by_schema(output_name(0), hint.schema)]


def _input_of_hint(name: str, hint: Hint) -> Description:
    if hint.target == "ndarray":
        return described_array(name, hint.dtype, [])
    if hint.target == "DataFrame":
        return described_array(name, None, [-1])
    return described_by_schema(name, hint.schema)


def described_array(name: str, dtype: Any, shape: list[int]) -> Description:
    """Return an input or output from a dtype and the lengths of the dimensions after the first.

    Without a dtype the data type is FP64, the usual one of numpy.
    """
    return {"name": name, "datatype": _data_type_name(dtype), "shape": [-1, *shape]}


def described_by_schema(name: str, schema: Schema) -> Description:
    """Return an input or output from its JSON schema: each array is a dimension of any length.

    A single value has the shape [1].
    """
    names = {"number": "FP64", "integer": "INT64", "boolean": "BOOL"}
    dimensions = 0
    while schema.get("type") == "array" and isinstance(schema.get("items"), dict):
        schema = schema["items"]
        dimensions += 1
    datatype = names.get(str(schema.get("type")), "BYTES")
    return {"name": name, "datatype": datatype, "shape": [-1] * dimensions or [1]}


def _data_type_name(dtype: Any) -> str:
    if dtype is None:
        return "FP64"
    name = _NAMES_BY_KIND.get(dtype.kind, "BYTES")
    return name if name in ("BOOL", "BYTES") else f"{name}{8 * dtype.itemsize}"
