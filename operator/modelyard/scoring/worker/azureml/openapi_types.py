"""`azureml.api.schema.baseUtil` and `.swaggerFromDtype`: OpenAPI schemas of dtypes, and samples of values."""

import base64
import datetime as dt
from collections.abc import Callable
from typing import Any, Final

MAX_SAMPLES: Final = 3
"""Records of a sample that go into the OpenAPI document."""

_NUMBERS: Final[dict[str, dict[str, str]]] = {
    **{
        f"{sign}int{bits}": {"type": "integer", "format": f"{sign}int{bits}"}
        for sign in ("", "u")
        for bits in (8, 16, 32, 64)
    },
    "bool": {"type": "boolean"},
    "float16": {"type": "number", "format": "float"},
    "float32": {"type": "number", "format": "float"},
    "float64": {"type": "number", "format": "double"},
    "object": {"type": "object"},
}
_TEXTS: Final[tuple[tuple[str, dict[str, str]], ...]] = (
    ("datetime", {"type": "string", "format": "date-time"}),
    ("str", {"type": "string"}),
    ("bytes", {"type": "string", "format": "binary"}),
    ("void", {"type": "string", "format": "binary"}),
    ("timedelta", {"type": "string", "format": "timedelta"}),
)


def schema_of_dtype(dtype: Any) -> dict[str, Any]:
    """Return the OpenAPI schema of a dtype of numpy or pandas. Raises TypeError for other dtypes."""
    if getattr(dtype, "names", None):
        return {"type": "object", "properties": {name: schema_of_dtype(dtype[name]) for name in dtype.names}}
    if getattr(dtype, "subdtype", None):
        item, shape = dtype.subdtype
        return schema_of_array(schema_of_dtype(item), shape)
    name = dtype.name.lower()
    if name in _NUMBERS:
        return dict(_NUMBERS[name])
    for prefix, schema in _TEXTS:
        if name.startswith(prefix):
            return dict(schema)
    raise TypeError(f"a sample cannot have the dtype {name}")


def schema_of_array(item: dict[str, Any], shape: tuple[int, ...]) -> dict[str, Any]:
    """Return the OpenAPI schema of an array with this many dimensions."""
    schema = {"type": "array", "items": item}
    for _ in shape[1:]:
        schema = {"type": "array", "items": schema}
    return schema


def sample_of(schema: dict[str, Any], value: Any) -> Any:
    """Return a value of a sample as JSON, by its OpenAPI schema."""
    kind, properties = schema["type"], schema.get("properties")
    if kind == "object" and properties is not None:
        return {name: sample_of(properties[name], value[name]) for name in properties}
    if kind == "array":
        return [sample_of(schema["items"], item) for item in value]
    convert = _CONVERSIONS.get(schema.get("format", kind)) or _CONVERSIONS.get(kind, str)
    return convert(value)


def _time_text(value: Any) -> str:
    moment = value if isinstance(value, dt.datetime) else value.astype("M8[us]").item()
    return str(moment.strftime("%Y-%m-%d %H:%M:%S,%f"))


_CONVERSIONS: Final[dict[str, Callable[[Any], Any]]] = {
    "number": float,
    "integer": int,
    "date-time": _time_text,
    "binary": lambda value: base64.b64encode(value).decode(),
}
