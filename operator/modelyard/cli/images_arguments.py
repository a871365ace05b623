"""The arguments of `modelyard images`; imports nothing, since every entry point reads them."""

from __future__ import annotations

import argparse
import datetime as dt
import re
from typing import Final

_UNITS: Final = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}
_DURATION: Final = re.compile(r"(\d+)([smhd])")
_DEFAULT: Final = "7d"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    actions = parser.add_subparsers(dest="action", required=True)
    actions.add_parser("list", help="all images in the registry, and who needs them")
    prune = actions.add_parser("prune", help="those that nobody needs; they stay unless --delete is given")
    prune.add_argument("--delete", action="store_true", help="delete them, and remember what is unused")
    prune.add_argument(
        "--older-than",
        type=duration,
        default=duration(_DEFAULT),
        metavar="AGE",
        help=f"how long nobody may have needed them, as 90s, 30m, 12h or 7d (default {_DEFAULT}); counted"
        " from the first call with --delete that found them unused",
    )


def duration(text: str) -> dt.timedelta:
    """Of a text such as 12h; raises argparse.ArgumentTypeError."""
    found = _DURATION.fullmatch(text)
    if not found:
        raise argparse.ArgumentTypeError(f"{text!r} is no age such as 90s, 30m, 12h or 7d")
    return dt.timedelta(**{_UNITS[found[2]]: int(found[1])})
