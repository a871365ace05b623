from __future__ import annotations

import pytest

from modelyard.builder.docker.chunk_reader import open_chunks

CHUNKS = (b"ab", b"", b"cdefg", b"h" * 500_000, b"i")


@pytest.mark.parametrize("size", [1, 3, 16384, 10**6])
def test_file_reads_the_bytes_of_all_chunks_in_order(size: int) -> None:
    file = open_chunks(iter(CHUNKS))
    parts = list(iter(lambda: file.read(size), b""))
    assert b"".join(parts) == b"".join(CHUNKS)
    assert {len(part) for part in parts[:-1]} <= {size}


def test_file_reads_chunks_only_as_they_are_needed() -> None:
    chunks = iter((b"a" * 10**6, b"b"))
    assert open_chunks(chunks).read(10) == b"a" * 10
    assert next(chunks) == b"b"


def test_file_without_chunks_is_empty() -> None:
    assert open_chunks(iter(())).read() == b""
