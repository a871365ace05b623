"""Fixtures of the tests of downloads."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.unit.builder.sources.fetcher import Fetcher

from modelyard.retry import Retry


@pytest.fixture
def fetcher(tmp_path: Path, retry: Retry) -> Fetcher:
    """A Fetcher that does not wait between retries."""
    return Fetcher(tmp_path, retry)
