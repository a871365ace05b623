"""Fixtures of the build's tests."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from tests.unit.build.webserver import WebServer

from modelyard.build.retry import Retry


@pytest.fixture
def web() -> Iterator[WebServer]:
    server = WebServer()
    yield server
    server.stop()


@pytest.fixture
def other_web() -> Iterator[WebServer]:
    server = WebServer()
    yield server
    server.stop()


@pytest.fixture
def waits() -> list[float]:
    """Seconds that were waited before tries."""
    return []


@pytest.fixture
def retry(waits: list[float]) -> Retry:
    return Retry(attempts=4, sleep=waits.append)
