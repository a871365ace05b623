"""`azureml_inference_server_http.log_config` for logging.json files, which name its classes."""

import logging
import time
from typing import Any

from modelyard.scoring.worker.driver_logs import FORMAT


class AMLLogFormatter(logging.Formatter):
    """Writes a record as one line, with the time in UTC."""

    converter = time.gmtime  # type: ignore[assignment]

    def __init__(self, fmt: str = FORMAT, datefmt: str | None = None, style: Any = "%") -> None:
        super().__init__(fmt, datefmt, style)


class RootAccessFilter(logging.Filter):
    """Drops the lines of liveness probes from an access log."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Return False for a probe."""
        return "GET / HTTP/1.1" not in record.getMessage()
