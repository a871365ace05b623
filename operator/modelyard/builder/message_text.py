"""The length of messages: `status.error.message` of an Image is for people, and the log has the rest."""

from __future__ import annotations

from typing import Final

_WORD_CHARACTERS: Final = 100
"""A longer word, such as a signed URL, is cut, so that the message stays useful."""


def shortened(text: str, characters: int) -> str:
    """Return a text of at most `characters`. A longer text ends after a whole word, with `…`."""
    if len(text) <= characters:
        return text
    cut = text[: characters - 1]
    blank = max(map(cut.rfind, " \n"))
    if blank > 0 and len(cut) - blank <= _WORD_CHARACTERS:
        return f"{cut[:blank].rstrip()} …"
    return f"{cut}…"
