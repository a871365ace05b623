"""Rows of the two ModelDataCollectors: lists, arrays of numpy, and frames of pandas or Spark, as JSON."""

import json
import math
import os
import warnings
from functools import partial
from typing import Any

from modelyard.scoring.contract import Variable
from modelyard.scoring.worker.collection import driver_data
from modelyard.scoring.worker.json_values import MISSING, texts_of_times

_DIMENSIONS_OF_TABLE = 2


class CollectorRows:
    """Collects rows under one name, and does nothing if data collection is off."""

    def __init__(self, name: str, features: list[str] | None) -> None:
        self._name = name
        self._features = features
        self._debug = os.environ.get(Variable.DATA_COLLECTOR_DEBUG, "").lower() == "true"
        self._data = driver_data()

    def accept(self, data: Any, user_correlation_id: str) -> bool:
        """Print the data for AML_MODEL_DC_DEBUG. Return True if it is to be collected."""
        if self._debug:
            print(f"{self._name} {user_correlation_id}\n{data}")  # noqa: T201 - for the log
        return self._data is not None and warn_unless_tabular(data)

    def collect(self, data: Any, correlation_id: str) -> None:
        """Collect accepted data, which is not changed."""
        if self._data is not None:
            self._data.collect(self._name, partial(_json_text, data, self._features), correlation_id)


def warn_unless_tabular(data: Any) -> bool:
    """Return True for a list, an array or a data frame. Warn of anything else."""
    if isinstance(data, list) or any(hasattr(data, name) for name in ("to_json", "toPandas", "tolist")):
        return True
    name = type(data).__name__
    warnings.warn(
        f"a collector takes a list, an array or a data frame: {name} is not collected", stacklevel=4
    )
    return False


def _json_text(data: Any, features: list[str] | None) -> str:
    """Return rows as a JSON list: objects if the columns have names, otherwise lists."""
    if hasattr(data, "toPandas"):
        data = data.toPandas()
    if hasattr(data, "to_json"):
        return _text_of_frame(data)
    values = data if isinstance(data, list) else _items(data)
    is_table = isinstance(values, list) and values and isinstance(values[0], list | tuple)
    if not is_table and getattr(data, "ndim", 1) < _DIMENSIONS_OF_TABLE:
        values = [values]
    rows = [
        dict(zip(features, row, strict=True))
        if features and isinstance(row, list | tuple) and len(row) == len(features)
        else row
        for row in values
    ]
    try:
        return json.dumps(rows, default=_plain, allow_nan=False)
    except ValueError:  # NaN: rare, so the usual path pays nothing
        return json.dumps(_finite(rows), default=_plain, allow_nan=False)


def _text_of_frame(frame: Any) -> str:
    """Return rows as objects, or as lists if columns have equal names.

    Numbers have 15 digits, and dates are ISO text.
    """
    is_unique = getattr(getattr(frame, "columns", None), "is_unique", True)
    orient = "records" if is_unique else "values"
    return str(frame.to_json(orient=orient, double_precision=15, date_format="iso", date_unit="ns"))


def _items(data: Any) -> Any:
    """Return the items of an array. Dates and durations are text: tolist() makes numbers of nanoseconds."""
    is_time = getattr(getattr(data, "dtype", None), "kind", "") in ("M", "m")
    return texts_of_times(data) if is_time else data.tolist()


def _plain(value: Any) -> Any:
    """Return a value of numpy as a value of Python, a missing one of pandas as None, and others as text."""
    if type(value).__name__ in MISSING:
        return None
    return _items(value) if hasattr(value, "tolist") else str(value)


def _finite(value: Any) -> Any:
    """Return the value with None in place of NaN and infinity, which JSON does not have."""
    if hasattr(value, "tolist"):
        value = _items(value)
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, list | tuple):
        return [_finite(one) for one in value]
    if isinstance(value, dict):
        return {key: _finite(one) for key, one in value.items()}
    return value
