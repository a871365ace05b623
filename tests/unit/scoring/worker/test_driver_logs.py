"""The driver's logs: logging.json, and the logger of the Azure ML containers."""

import logging
from pathlib import Path

import pytest

from modelyard.scoring.worker.log_config import AMLLogFormatter, RootAccessFilter

LOGS = """
import logging
logger = logging.getLogger("azmlinfsrv")
def init(): logger.info("written in init")
def run(data): return logging.getLogger("mine").level
"""

CONFIGURATION = """{"version": 1,
 "formatters": {"f": {"class": "azureml_inference_server_http.log_config.AMLLogFormatter",
                      "format": "mine %(message)s"}},
 "handlers": {"h": {"class": "logging.StreamHandler", "formatter": "f"}},
 "loggers": {"azmlinfsrv": {"level": "INFO", "handlers": ["h"], "propagate": false},
             "mine": {"level": 10}}}"""


def test_info_of_the_azure_logger_is_shown(serve) -> None:
    scoring = serve(LOGS)
    assert "azmlinfsrv - written in init\n" in scoring.log


def test_logging_json_configures_the_drivers_logs(serve, tmp_path: Path) -> None:
    (tmp_path / "app").mkdir()
    (tmp_path / "app" / "logging.json").write_text(CONFIGURATION)

    scoring = serve(LOGS)

    assert scoring.score(b"").json() == 10
    assert "\nmine written in init\n" in "\n" + scoring.log
    assert scoring.log.count("written in init") == 1


def test_invalid_logging_json_ends_the_process(serve, tmp_path: Path) -> None:
    (tmp_path / "app").mkdir()
    (tmp_path / "app" / "logging.json").write_text("{")

    scoring = serve(LOGS, wait_ready=False)

    assert scoring.exit_code() == 3
    assert "the file logging.json of the driver is no configuration of logs" in scoring.log


@pytest.mark.parametrize(("line", "shown"), [("GET / HTTP/1.1", False), ("POST /score HTTP/1.1", True)])
def test_filter_drops_lines_of_probes(line: str, shown: bool) -> None:
    assert RootAccessFilter().filter(logging.LogRecord("a", 20, "", 0, line, None, None)) is shown


def test_formatter_writes_utc() -> None:
    record = logging.LogRecord("a", 20, "", 0, "text", None, None)
    record.created = 0.0
    record.msecs = 0.0
    assert AMLLogFormatter().format(record).startswith("1970-01-01 00:00:00,000 I [")
