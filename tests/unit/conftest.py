"""Fixtures that tests of several rooms share."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator, Iterator

import pytest
from tests.support.web_server import WebServer
from tests.unit.oci.fake_registry import FakeRegistry
from tests.unit.operator_harness import (
    OperatorHarness,
    sample_objects,
)
from tests.unit.removable_audit_hook import add_audit_hook

from modelyard.retry import Retry

# Keep forced switches of the GIL rare; the default interval is 0.005 s. CPython waits for a forced switch
# on a condition variable without a timeout, and glibc before 2.41 may lose that wake-up:
# https://sourceware.org/bugzilla/show_bug.cgi?id=25847. On a loaded machine one run stopped at such a wait.
sys.setswitchinterval(0.1)
sys.addaudithook = add_audit_hook


@pytest.fixture
async def harness() -> AsyncIterator[OperatorHarness]:
    """An operator in an empty cluster."""
    harness = OperatorHarness()
    await harness.start()
    yield harness
    await harness.stop()


@pytest.fixture
async def serving(harness: OperatorHarness) -> OperatorHarness:
    """An operator in whose cluster everything named m is served."""
    harness.apply(*sample_objects())
    await harness.play()
    assert harness.summary("Service") == ("m:1", "Succeeded", "Serving")
    return harness


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
def fake() -> Iterator[FakeRegistry]:
    """A registry in memory."""
    registry = FakeRegistry()
    yield registry
    registry.stop()


@pytest.fixture
def waits() -> list[float]:
    """Seconds that were waited before tries."""
    return []


@pytest.fixture
def retry(waits: list[float]) -> Retry:
    return Retry(attempts=4, sleep=waits.append)
