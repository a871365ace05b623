"""`azureml.datacollector` and `azureml.monitoring`: ModelDataCollector, which collects nothing.

The package azureml.datacollector needs C++ libraries of Ubuntu 16.04 and an account of Azure Storage. As in
the package with AML_MODEL_DC_STORAGE_ENABLED off, collect() returns None, and AML_MODEL_DC_DEBUG=true prints
the data.
"""

import os
from typing import Any

from modelyard.scoring.contract import Variable


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
        self._label = f"{model_name}/{options.get('designation', identifier)}"
        self._debug = os.environ.get(Variable.DATA_COLLECTOR_DEBUG, "").lower() == "true"
        if not self._debug:
            print("Data collection is not enabled.")  # noqa: T201 - the line of the package, in the log

    def collect(self, input_data: Any, user_correlation_id: str = "", **options: Any) -> None:
        """Print the data if AML_MODEL_DC_DEBUG is true. The data is not changed."""
        if self._debug:
            print(f"{self._label} {user_correlation_id}\n{input_data}")  # noqa: T201 - see above

    def add_correlations(self, *arguments: Any, **options: Any) -> None:
        """Do nothing: there is no collection to correlate."""
