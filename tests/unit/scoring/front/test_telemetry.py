"""Trace contexts, and the formats of exporters."""

import json

import pytest

from modelyard.scoring.front.span import Span
from modelyard.scoring.front.telemetry import AzureMonitor, parse_traceparent

TRACE = "0af7651916cd43dd8448eb211c80319c"
PARENT = "b7ad6b7169203331"


@pytest.mark.parametrize(
    ("seconds", "duration"), [(0.25, "00.00:00:00.250000"), (3661.0, "00.01:01:01.000000")]
)
def test_azure_monitor_duration_has_the_form_of_a_timespan(seconds: float, duration: str) -> None:
    span = Span(TRACE, PARENT, "", 0.0, "one", "POST", 200, seconds)

    written = json.loads(AzureMonitor("InstrumentationKey=k", "s").body([span]))

    assert written[0]["data"]["baseData"]["duration"] == duration


@pytest.mark.parametrize(
    "header",
    ["", "00", f"00-{'0' * 32}-{PARENT}-01", f"00-{TRACE}-{'0' * 16}-01", f"ff-{TRACE}-{PARENT}-01",
     f"00-{TRACE.upper()}-{PARENT}-01", f"00-{TRACE}-{PARENT}-01-more"],
)  # fmt: skip
def test_invalid_traceparent_is_ignored(header: str) -> None:
    assert parse_traceparent(header.encode()) == ("", "", False)


def test_traceparent_is_parsed() -> None:
    assert parse_traceparent(f"00-{TRACE}-{PARENT}-01".encode()) == (TRACE, PARENT, True)
    assert parse_traceparent(f"00-{TRACE}-{PARENT}-00".encode()) == (TRACE, PARENT, False)
