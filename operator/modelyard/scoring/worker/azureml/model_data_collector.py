"""`azureml.monitoring`: ModelDataCollector of 2018 to 2020.

The package needs C++ libraries of Ubuntu 16.04 and an account of Azure Storage. Here collect() writes to the
data collection of the Service, and does nothing if that is off. AML_MODEL_DC_DEBUG=true prints the data.
"""

import os
import uuid
from contextvars import ContextVar
from datetime import UTC, datetime
from typing import Any

from modelyard.scoring.contract import Variable
from modelyard.scoring.worker.azureml.collector_rows import CollectorRows, warn_unless_tabular
from modelyard.scoring.worker.current_request import current_ids

__path__: list[str] = []
"""The package has a module of the same content."""

_MINUTES_OF_DAY = 24 * 60
"""The files of the package are those of a day."""


class ModelDataCollector:
    """Takes the inputs and predictions of a model."""

    AML_DC_CORRELATION_HEADER = "$aml_dc_correlation_id"
    AML_DC_SCORING_TIMESTAMP_HEADER = "$aml_dc_scoring_timestamp"
    AML_DC_BOUNDARY_HEADER = "$aml_dc_boundary"
    AML_WORKSPACE_HEADER = "$aml_workspace"
    AML_SERVICE_NAME_HEADER = "$aml_service_name"
    AML_MODEL_NAME_HEADER = "$aml_model_name"
    AML_MODEL_VERSION_HEADER = "$aml_model_version"
    AML_REQUEST_ID_HEADER = "$aml_request_id"

    def __init__(
        self,
        model_name: str,
        designation: str = "default",
        feature_names: list[str] | None = None,
        workspace: str = "default/default/default",
        webservice_name: str = "default",
        model_version: str = "default",
        collection_name: str = "default",
        **options: Any,
    ) -> None:
        """Also take `identifier`, the name of the designation before 0.1.0a15, and ignore other options."""
        name = options.get("identifier", designation)
        self._designation = "general" if name == "default" else name
        self.workspace = workspace.lower()
        self.model_name = model_name
        self.model_version = model_version
        is_named = webservice_name != "default"
        self.service_name = (
            webservice_name if is_named else os.environ.get(Variable.SERVICE_NAME, webservice_name)
        )
        self._rows = CollectorRows(f"{model_name}-{self._designation}", feature_names)
        self._correlation: ContextVar[str] = ContextVar("correlation", default="")

    def collect(self, input_data: Any, user_correlation_id: str = "") -> dict[str, Any] | None:
        """Collect a list, an array of numpy or a frame of pandas or Spark; `input_data` is not changed.

        Return the correlation of inputs for add_correlations(), otherwise None.
        """
        if not self._rows.accept(input_data, user_correlation_id):
            return None
        correlation_id = user_correlation_id or self._correlation.get()
        self._correlation.set("")
        correlations = None
        if self._designation == "inputs":
            unique = str(uuid.uuid4())
            user = user_correlation_id
            correlation_id = f"{user}-{unique}" if user else current_ids()[0] or unique
            correlations = self._correlations(correlation_id)
        self._rows.collect(input_data, correlation_id)
        return correlations

    def add_correlations(self, input_data: Any, correlations: Any) -> Any:
        """Give the next data of this collector the correlation of inputs. Return the same data."""
        if isinstance(correlations, dict) and warn_unless_tabular(input_data):
            self._correlation.set(str(correlations.get(self.AML_DC_CORRELATION_HEADER, "")))
        return input_data

    def _correlations(self, correlation_id: str) -> dict[str, Any]:
        return {
            self.AML_DC_SCORING_TIMESTAMP_HEADER: datetime.now(UTC).replace(tzinfo=None).isoformat(),
            self.AML_REQUEST_ID_HEADER: current_ids()[0],
            self.AML_DC_CORRELATION_HEADER: correlation_id,
            self.AML_DC_BOUNDARY_HEADER: _MINUTES_OF_DAY,
            self.AML_WORKSPACE_HEADER: self.workspace,
            self.AML_SERVICE_NAME_HEADER: self.service_name,
            self.AML_MODEL_NAME_HEADER: self.model_name,
            self.AML_MODEL_VERSION_HEADER: self.model_version,
        }
