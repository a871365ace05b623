"""Errors of a full disk."""

from __future__ import annotations

import errno
from pathlib import Path

import pytest

from modelyard.builder.disk import check_free_space, disk_errors
from modelyard.contract.errors import DiskFullError


@pytest.mark.parametrize(
    ("number", "error"), [(errno.ENOSPC, DiskFullError), (errno.EACCES, PermissionError)]
)
def test_errors_of_a_full_disk_become_disk_full_errors(number: int, error: type[Exception]) -> None:
    with pytest.raises(error), disk_errors():
        raise OSError(number, "")


def test_missing_disk_space_is_an_error(tmp_path: Path) -> None:
    check_free_space(tmp_path, 0)
    with pytest.raises(DiskFullError, match=r"are free in the workspace .*: increase build\.workspaceSize"):
        check_free_space(tmp_path, 2**80)
