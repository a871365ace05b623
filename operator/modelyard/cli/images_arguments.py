"""The arguments of `modelyard images`, without imports of the package: every entry point reads them."""

from __future__ import annotations

import argparse
import datetime as dt
import re
from typing import Final

_UNITS: Final = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}
_DURATION: Final = re.compile(r"(\d+)([smhd])")
_DEFAULT: Final = "7d"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the actions `list` and `prune` with their options to a parser."""
    actions = parser.add_subparsers(dest="action", required=True)
    actions.add_parser("list", help="list the images in the registry, and the objects that use them")
    prune = actions.add_parser("prune", help="list expired images; with --delete, delete them")
    prune.add_argument(
        "--delete", action="store_true", help="delete expired images, and save since when others are unused"
    )
    prune.add_argument(
        "--older-than",
        type=duration,
        default=duration(_DEFAULT),
        metavar="AGE",
        help="age at which an unused image expires, such as 90s, 30m, 12h or 7d"
        f" (default {_DEFAULT}). It counts from the first run with --delete that found the image unused",
    )


def duration(text: str) -> dt.timedelta:
    """Return the duration of a text such as 12h. Raises argparse.ArgumentTypeError."""
    match = _DURATION.fullmatch(text)
    if not match:
        raise argparse.ArgumentTypeError(f"{text!r} is not an age such as 90s, 30m, 12h or 7d")
    return dt.timedelta(**{_UNITS[match[2]]: int(match[1])})
