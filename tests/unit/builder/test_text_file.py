"""Encodings of text files."""

from __future__ import annotations

import pytest

from modelyard.builder.text_file import decode_text


@pytest.mark.parametrize(
    ("content", "text"),
    [
        (b"", ""),
        ("é\r\n".encode(), "é\r\n"),
        ("é".encode("utf-8-sig"), "é"),
        ("é".encode("utf-16"), "é"),
        (b"\xff\xfe" + "é".encode("utf-16-le"), "é"),
        (b"\xfe\xff" + "é".encode("utf-16-be"), "é"),
        ("é".encode("latin-1"), None),
        ("e".encode("utf-16-le"), None),
        (b"\xff\xfea", None),
    ],
)
def test_text_is_decoded_by_its_byte_order_mark(content: bytes, text: str | None) -> None:
    assert decode_text(content) == text
