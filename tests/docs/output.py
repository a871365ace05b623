"""Compares the output of commands with the output that a page promises."""

from __future__ import annotations

import re
from typing import Final

_ELLIPSIS: Final = "…"
# Parts that differ in each run, in the order of their search.
_VARIABLE: Final = re.compile(
    r"(?P<anything>…)"
    r"|(?P<digest>\bsha256:[0-9a-f]{12,64}\b)"
    r"|(?P<time>\b\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(?:[.,]\d+)?Z?)"
    r"|(?P<duration>(?<![\w.-])(?:\d+(?:\.\d+)?(?:ms|d|h|m|s))+(?![\w-]))"
    r"|(?P<blanks>\s+)"
)
_PATTERNS: Final = {
    "anything": r".*",
    "digest": r"sha256:[0-9a-f]{12,64}",
    "time": r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(?:[.,]\d+)?Z?",
    "duration": r"(?:\d+(?:\.\d+)?(?:ms|d|h|m|s))+",
    "blanks": r"\s+",
}


def difference(expected: str, actual: str) -> str | None:
    """Return None if the output is as promised, otherwise both texts.

    A line `…` stands for any number of lines, and `…` within a line for any text. Durations, times,
    digests and the width of blanks may differ: `AGE 4s` promises an age, not this one.
    """
    pattern = "".join(_line(line) for line in expected.strip().split("\n"))
    lines = [line.rstrip() for line in actual.strip().split("\n")]
    if re.fullmatch(pattern, "".join(f"{line}\n" for line in lines)):
        return None
    return "\n".join(["promised:", expected.strip(), "printed:", *lines])


def _line(line: str) -> str:
    stripped = line.rstrip()
    if stripped.strip() == _ELLIPSIS:
        return r"(?:.*\n)*?"
    parts: list[str] = []
    end = 0
    for match in _VARIABLE.finditer(stripped):
        parts += [re.escape(stripped[end : match.start()]), _PATTERNS[str(match.lastgroup)]]
        end = match.end()
    return "".join([*parts, re.escape(stripped[end:]), r"\n"])
