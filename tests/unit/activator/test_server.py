"""The settings of an activator within the limits of its container."""

from __future__ import annotations

import pytest

from modelyard.activator.server import within_files
from modelyard.activator.settings import ActivatorSettings


@pytest.mark.parametrize(("files", "held"), [(1_048_576, 20_000), (20_000, 10_000), (1, 1)])
def test_held_requests_leave_half_of_the_open_files(files: int, held: int) -> None:
    assert within_files(ActivatorSettings(held=20_000), files).held == held
