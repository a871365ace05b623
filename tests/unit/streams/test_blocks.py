"""Division of a stream into blocks."""

from __future__ import annotations

import pytest

from modelyard.streams.blocks import blocks


@pytest.mark.parametrize("chunks", [[b"abcdefg"], [b"a", b"bcdef", b"g"], [b"", b"abc", b"", b"defg"]])
def test_blocks_have_equal_size_however_the_chunks_are_cut(chunks: list[bytes]) -> None:
    assert list(blocks(chunks, 3)) == [b"abc", b"def", b"g"]


def test_empty_stream_has_no_blocks() -> None:
    assert list(blocks([b""], 3)) == []
