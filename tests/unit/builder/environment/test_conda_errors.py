"""Errors of rattler that a test cannot provoke. Tests in test_conda run rattler for the other errors."""

from __future__ import annotations

import pytest
from rattler.exceptions import InstallerError, SolverError

from modelyard.builder.environment.conda_errors import rattler_errors
from modelyard.contract.errors import CondaFailedError, DiskFullError


def test_full_disk_has_its_error() -> None:
    with pytest.raises(DiskFullError, match="workspace"), rattler_errors("a channel"):
        raise InstallerError("failed to extract: No space left on device (os error 28)")


def test_long_explanation_of_the_solver_is_cut() -> None:
    with pytest.raises(CondaFailedError, match=r"…$") as caught, rattler_errors("a channel"):
        raise SolverError("x" * 5000)
    assert len(str(caught.value)) == 1200
