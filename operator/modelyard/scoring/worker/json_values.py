"""From a Python value to JSON: exactly, or not at all.

One rule for all containers. Nothing is rounded. A value that JSON cannot express is an error, except that NaN
and other missing values are null. docs/scoring.md has the table.
"""

import dataclasses
import json
import math
from collections.abc import Mapping, Sequence, Set, ValuesView
from typing import Any

from modelyard.scoring.worker.json_arrays import encoded_array, has_large_array

MISSING = ("NaTType", "NAType")
"""Types of pandas for a value that is missing."""


class NotJsonError(TypeError):
    """The value cannot be written as JSON; the message is for the driver's author."""


def encoded(value: Any) -> bytes:
    """Return the value as JSON. Raises NotJsonError, or the exception of a method of the value."""
    try:
        if has_large_array(value):
            return _encoded_in_parts(value)
        return _ENCODER.encode(value).encode()
    except NotJsonError:
        raise
    except (ValueError, TypeError):  # NaN, or a key that is no text: rare, so the usual path pays nothing
        return json.dumps(_plain(value), allow_nan=False).encode()


def _encoded_in_parts(value: Any) -> bytes:
    """Return a value, or the values of a dict, with large arrays by msgspec. Raises what _ENCODER raises."""
    if type(value) is not dict or not all(type(key) is str for key in value):
        return encoded_array(value) or _ENCODER.encode(value).encode()
    pairs = [
        b"%b: %b" % (_ENCODER.encode(key).encode(), encoded_array(one) or _ENCODER.encode(one).encode())
        for key, one in value.items()
    ]
    return b"{%b}" % b", ".join(pairs)


def json_type(value: Any) -> Any:  # noqa: C901, PLR0911 - one return per kind of value
    """Return the value as one of the types of JSON; its items may still be of other types.

    Types are recognised by their module and methods: this module imports no package of the driver.
    """
    if isinstance(value, type):
        raise NotJsonError(f"run() returned the class {value.__name__}, which JSON cannot express")
    kind = type(value)
    package = kind.__module__.partition(".")[0]
    if package == "pandas":
        return _of_pandas(value, kind.__name__)
    if hasattr(value, "dtype") and hasattr(value, "tolist"):
        return _of_array(value)
    if hasattr(value, "tolist"):
        return value.tolist()
    if hasattr(value, "model_dump"):
        return value.model_dump(mode="json")
    if dataclasses.is_dataclass(value):
        return {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        return dict(value)
    if isinstance(value, Sequence | Set | ValuesView) and not isinstance(value, bytes | bytearray):
        return list(value)
    if package == "datetime" and hasattr(value, "isoformat"):
        return value.isoformat()
    if package == "decimal" and hasattr(value, "is_nan"):
        return _of_decimal(value)
    if package in ("uuid", "pathlib"):
        return str(value)
    if hasattr(kind, "__members__"):  # an Enum
        return value.value
    raise NotJsonError(f"run() returned a {kind.__name__}, which JSON cannot express")


def _of_decimal(value: Any) -> str | None:
    if value.is_nan():
        return None
    if value.is_infinite():
        raise NotJsonError("run() returned an infinite Decimal, which JSON cannot express")
    return str(value)


def _of_array(value: Any) -> Any:
    """Return the items of a numpy array, of a scalar or of a tensor. Dates become ISO text."""
    kind = getattr(value.dtype, "kind", "")
    if kind == "M":
        return texts_of_times(value)
    if kind == "m":
        raise NotJsonError("run() returned a timedelta64, which JSON cannot express: divide it by a unit")
    if getattr(value.dtype, "names", None):
        return [dict(zip(value.dtype.names, row, strict=True)) for row in value.tolist()]
    items = value.tolist()
    if type(items) is type(value):
        raise NotJsonError(f"run() returned a {value.dtype}, whose digits JSON clients cannot read")
    return items


def texts_of_times(value: Any) -> Any:
    """Return datetime64 values as ISO text, in their own resolution, and timedelta64 as text; NaT as None."""
    texts = value.astype(str).tolist() if getattr(value, "shape", ()) else str(value)

    def without_nat(texts: Any) -> Any:
        if isinstance(texts, list):
            return [without_nat(text) for text in texts]
        return None if texts == "NaT" else texts

    return without_nat(texts)


def _of_pandas(value: Any, name: str) -> Any:  # noqa: PLR0911 - one return per type
    if name == "DataFrame":
        return _records(value if is_position(value.index) else value.reset_index())
    if name == "Series":
        if is_position(value.index):
            return value.tolist()
        if value.index.nlevels > 1:
            return _records(value.reset_index(name=value.name if value.name is not None else "value"))
        labels = [_key(label) for label in value.index.tolist()]
        _refuse_repeated(labels, "labels of a Series")
        return dict(zip(labels, value.tolist(), strict=True))
    if name in MISSING:
        return None
    if name == "Timestamp":
        return value.isoformat()
    if name == "Period":
        return str(value)
    if hasattr(value, "tolist"):  # an Index, or an array of pandas
        return value.tolist()
    raise NotJsonError(f"run() returned a {name} of pandas, which JSON cannot express")


def is_position(index: Any) -> bool:
    """Return True for an index of unnamed whole numbers: the position of a row, also after a filter."""
    return index.nlevels == 1 and index.name is None and getattr(index.dtype, "kind", "") in "iu"


def _records(frame: Any) -> list[dict[str, Any]]:
    """Return the rows of a table as objects."""
    names = [_key(name) for name in frame.columns.tolist()]
    _refuse_repeated(names, "columns of a DataFrame")
    columns = [frame.iloc[:, position].tolist() for position in range(len(names))]
    if not columns:
        return [{} for _ in range(len(frame))]
    return [dict(zip(names, row, strict=True)) for row in zip(*columns, strict=True)]


def _refuse_repeated(names: Sequence[str], subject: str) -> None:
    if len(set(names)) != len(names):
        repeated = next(name for name in names if names.count(name) > 1)
        raise NotJsonError(f"run() returned {subject} that have the same name: {repeated!r}")


def _plain(value: Any) -> Any:
    """Return the value with types of JSON only, down to the last item."""
    if value is None or isinstance(value, str | int):
        return value
    if isinstance(value, float):
        if math.isinf(value):
            raise NotJsonError("run() returned Infinity, which JSON cannot express")
        return None if math.isnan(value) else value
    if isinstance(value, dict):
        pairs = [(_key(key), _plain(one)) for key, one in value.items()]
        _refuse_repeated([key for key, _ in pairs], "keys of a dict")
        return dict(pairs)
    if isinstance(value, list | tuple):
        return [_plain(one) for one in value]
    return _plain(json_type(value))


def _key(key: Any) -> str:
    """Return a key of an object: text, or a number, a boolean or None as json.dumps writes it."""
    if isinstance(key, str):
        return key
    if hasattr(key, "dtype") or hasattr(key, "isoformat"):
        key = json_type(key)
        if isinstance(key, str):
            return key
    if key is None or isinstance(key, bool | int) or (isinstance(key, float) and math.isfinite(key)):
        return json.dumps(key)
    raise NotJsonError(f"run() returned the key {key!r}: JSON has texts as keys")


_ENCODER = json.JSONEncoder(default=json_type, allow_nan=False)
"""Made once: json.dumps makes an encoder for each call that has arguments, 2 µs."""
