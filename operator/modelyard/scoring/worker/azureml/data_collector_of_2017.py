"""`azureml.datacollector`: ModelDataCollector of 2017.

The package needs C++ libraries of Ubuntu 16.04 and an account of Azure Storage. Here collect() writes to the
data collection of the Service, and does nothing if that is off. AML_MODEL_DC_DEBUG=true prints the data.
"""

from typing import Any

from modelyard.scoring.worker.azureml.collector_rows import CollectorRows

__path__: list[str] = []
"""The package has a module of the same content."""


class ModelDataCollector:
    """Takes the data of a model under an identifier."""

    def __init__(
        self,
        model_name: str,
        identifier: str = "default",
        feature_names: list[str] | None = None,
        model_management_account_id: str = "unknown",
        webservice_name: str = "unknown",
        model_id: str = "unknown",
        model_version: str = "unknown",
    ) -> None:
        """Ignore the last four: each record has the origin of its replica."""
        self._rows = CollectorRows(f"{model_name}-{identifier}", feature_names)

    def collect(self, input_data: Any, user_correlation_id: str = "") -> None:
        """Collect a list, an array of numpy or a frame of pandas or Spark; `input_data` is not changed."""
        if self._rows.accept(input_data, user_correlation_id):
            self._rows.collect(input_data, user_correlation_id)
