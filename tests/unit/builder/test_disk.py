"""Errors of a full disk."""

from __future__ import annotations

import errno

import pytest

from modelyard.builder.disk import disk_errors
from modelyard.contract.errors import DiskFullError


@pytest.mark.parametrize(
    ("number", "error"), [(errno.ENOSPC, DiskFullError), (errno.EACCES, PermissionError)]
)
def test_errors_of_a_full_disk_become_disk_full_errors(number: int, error: type[Exception]) -> None:
    with pytest.raises(error), disk_errors():
        raise OSError(number, "")
