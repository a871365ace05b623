"""A pytest plugin that writes the result of each test as a line of JSON into the file of RESULTS_FILE."""

import json
import os
from pathlib import Path

import pytest


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Write a failed set-up or clean-up, each call, and each skipped test."""
    if report.when == "call" or report.outcome != "passed" or report.user_properties:
        line = {
            "test": report.nodeid,
            "outcome": "xfailed" if hasattr(report, "wasxfail") else report.outcome,
            "properties": report.user_properties,
            "failed_line": _failed_line(report),
        }
        with Path(os.environ["RESULTS_FILE"]).open("a") as file:
            file.write(json.dumps(line) + "\n")


def _failed_line(report: pytest.TestReport) -> str:
    """Return the last lines of source that pytest marks as failed, or an empty text."""
    entries = getattr(getattr(report.longrepr, "reprtraceback", None), "reprentries", [])
    marked = [line[1:].strip() for entry in entries for line in entry.lines if line.startswith(">")]
    return " ".join(marked)
