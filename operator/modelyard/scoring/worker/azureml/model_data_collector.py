"""`azureml.datacollector` and `azureml.monitoring`: ModelDataCollector of 2017 and of 2018 to 2020.

The packages need C++ libraries of Ubuntu 16.04 and an account of Azure Storage. Here collect() writes to the
data collection of the Service, and does nothing if that is off. AML_MODEL_DC_DEBUG=true prints the data.
"""

import json
import os
import uuid
import warnings
from contextvars import ContextVar
from datetime import UTC, datetime
from functools import partial
from typing import Any

from modelyard.scoring.contract import Variable
from modelyard.scoring.worker.collection import driver_data
from modelyard.scoring.worker.current_request import current_ids

__path__: list[str] = []
"""The packages have a module of the same content."""

_CORRELATION_ID = "$aml_dc_correlation_id"


class ModelDataCollector:
    """Takes the inputs and predictions of a model."""

    def __init__(
        self,
        model_name: str,
        identifier: str = "default",
        feature_names: list[str] | None = None,
        *arguments: Any,
        **options: Any,
    ) -> None:
        self._designation = options.get("designation", identifier)
        self._name = f"{model_name}-{self._designation}"
        self._model = model_name
        self._features = feature_names
        self._debug = os.environ.get(Variable.DATA_COLLECTOR_DEBUG, "").lower() == "true"
        self._data = driver_data()
        self._correlation: ContextVar[str] = ContextVar("correlation", default="")

    def collect(
        self, input_data: Any, user_correlation_id: str = "", **options: Any
    ) -> dict[str, Any] | None:
        """Collect a list, an array of numpy or a frame of pandas or Spark; `input_data` is not changed.

        Return the correlation of inputs for add_correlations(), otherwise None.
        """
        if self._debug:
            print(f"{self._name} {user_correlation_id}\n{input_data}")  # noqa: T201 - for the log
        if self._data is None:
            return None
        if not _is_tabular(input_data):
            name = type(input_data).__name__
            warnings.warn(
                f"collect() takes a list, an array or a data frame: {name} is not collected", stacklevel=2
            )
            return None
        correlation_id = user_correlation_id or self._correlation.get()
        self._correlation.set("")
        correlations = None
        if self._designation == "inputs":
            unique = str(uuid.uuid4())
            user = user_correlation_id
            correlation_id = f"{user}-{unique}" if user else current_ids()[0] or unique
            correlations = self._correlations(correlation_id)
        self._data.collect(self._name, partial(_json_text, input_data, self._features), correlation_id)
        return correlations

    def add_correlations(self, input_data: Any, correlations: Any = None, **options: Any) -> Any:
        """Give the next data of this collector the correlation of inputs. Return the same data."""
        if isinstance(correlations, dict):
            self._correlation.set(str(correlations.get(_CORRELATION_ID, "")))
        return input_data

    def _correlations(self, correlation_id: str) -> dict[str, Any]:
        return {
            _CORRELATION_ID: correlation_id,
            "$aml_dc_scoring_timestamp": datetime.now(UTC).replace(tzinfo=None).isoformat(),
            "$aml_request_id": current_ids()[0],
            "$aml_service_name": os.environ.get(Variable.SERVICE_NAME, ""),
            "$aml_model_name": self._model,
        }


def _is_tabular(data: Any) -> bool:
    return isinstance(data, list) or any(hasattr(data, name) for name in ("to_json", "toPandas", "tolist"))


def _json_text(data: Any, features: list[str] | None) -> str:
    """Return rows as a JSON list: objects if the columns have names, otherwise lists."""
    if hasattr(data, "toPandas"):
        data = data.toPandas()
    if hasattr(data, "to_json"):
        return str(data.to_json(orient="records"))
    values = data if isinstance(data, list) else data.tolist()
    if not isinstance(values, list) or not values or not isinstance(values[0], list | tuple):
        values = [values]
    rows = [
        dict(zip(features, row, strict=True))
        if features and isinstance(row, list | tuple) and len(row) == len(features)
        else row
        for row in values
    ]
    return json.dumps(rows, default=_plain)


def _plain(value: Any) -> Any:
    """Return a value of numpy as a value of Python, and any other one as text."""
    return value.tolist() if hasattr(value, "tolist") else str(value)
