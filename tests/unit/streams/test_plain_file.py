"""A file of the disk is read from any offset."""

from __future__ import annotations

from pathlib import Path

import pytest

from modelyard.streams.plain_file import PlainFile


def test_file_is_read_from_an_offset_in_chunks(tmp_path: Path) -> None:
    body = bytes(range(256)) * 5000
    file = tmp_path / "model"
    file.write_bytes(body)
    content = PlainFile(file)
    assert content.size == len(body)
    for offset in (0, 1_100_000, len(body)):
        chunks = list(content.open(offset))
        assert b"".join(chunks) == body[offset:]
        assert all(len(chunk) <= 1024 * 1024 for chunk in chunks)


def test_missing_file_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        PlainFile(tmp_path / "model")
