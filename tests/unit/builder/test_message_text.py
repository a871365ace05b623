"""The length of messages."""

from __future__ import annotations

import pytest

from modelyard.builder.message_text import shortened


@pytest.mark.parametrize(
    ("text", "short"),
    [
        ("one two", "one two"),
        ("one twos", "one …"),
        ("one two three", "one …"),
        ("ones t three", "ones …"),
        ("one t three", "one t …"),
        ("onetwothree", "onetwo…"),
        ("", ""),
    ],
)
def test_long_text_ends_after_a_whole_word(text: str, short: str) -> None:
    assert shortened(text, 7) == short
    assert len(short) <= 7
