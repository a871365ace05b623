"""Texts that JSON encoders write in different forms, or that are large."""

from __future__ import annotations

from typing import Final

TEXTS: Final = {
    "html": "R&D <model> a->b",
    "requirements": "numpy>=1.26,<2",
    "signed_url": "version=3&sig=%2B",
    "line_separators": "a\u2028b\u2029c",
    "quotes": "\"double\" 'single' \\ / `",
    "emoji": "\U0001f680 \u00fc \ufffd \u007f",
    "control": "tab\tline\nreturn\r\b\f\u0001\u001f",
    "escape": r"\u003c is text",
    "keys": "sorted",
}
