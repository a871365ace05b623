"""Paths of the entries of archives."""

from __future__ import annotations

from pathlib import PurePosixPath

import pytest

from modelyard.builder.archive_paths import inner_path
from modelyard.contract.errors import UnsafeArchiveError


@pytest.mark.parametrize(
    ("name", "path"),
    [
        ("a/b.txt", "a/b.txt"),
        ("./a", "a"),
        ("a//b/", "a/b"),
        (".", "."),
        ("a/...", "a/..."),
        ("é" * 127, "é" * 127),
    ],
)
def test_path_inside_the_archive_is_returned(name: str, path: str) -> None:
    assert inner_path(name) == PurePosixPath(path)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("/etc/passwd", "'/etc/passwd' has an absolute path"),
        ("a/../b", r"'a/\.\./b' leads outside"),
        ("é" * 128, "cannot store"),
        ("a/" * 1025, "cannot store"),
        ("a\0b", "cannot store"),
    ],
)
def test_unsafe_path_is_an_error(name: str, message: str) -> None:
    with pytest.raises(UnsafeArchiveError, match=message):
        inner_path(name)
