"""The text of a file in the encodings that editors and shells write."""

from __future__ import annotations

import codecs
from typing import Final

BYTE_ORDER_MARK: Final = "\ufeff"
_ENCODINGS: Final = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF16_LE, "utf-16"),  # PowerShell 5: pip freeze > requirements.txt
    (codecs.BOM_UTF16_BE, "utf-16"),
)


def decode_text(content: bytes) -> str | None:
    """Return the text of a file in UTF-8, or in UTF-16 with a byte order mark.

    Returns None for another encoding, and for a file with NUL characters, such as UTF-16 without the mark.
    """
    encoding = next((name for mark, name in _ENCODINGS if content.startswith(mark)), "utf-8")
    try:
        text = content.decode(encoding)
    except UnicodeDecodeError:
        return None
    return None if "\0" in text else text
