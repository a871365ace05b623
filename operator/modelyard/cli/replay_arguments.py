"""The arguments of `modelyard replay`, without imports of the package: every entry point reads them."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Final

KEY_VARIABLE: Final = "MODELYARD_KEY"
SERVICE_RATE: Final = 100.0


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the store, the window, the target, the load and the reports to a parser."""
    parser.add_argument(
        "store",
        help="URL above the folder modeldata: s3://bucket/prefix, abfs://container@account.dfs.core.windows.net,"
        " gs://bucket, or a folder; credentials are those of the environment",
    )
    parser.add_argument("--namespace", required=True, help="namespace of the collected Service")
    parser.add_argument("--service", required=True, help="name of the collected Service")
    parser.add_argument("--version", help="its version, such as 3 (default: all)")
    parser.add_argument(
        "--from", dest="start", required=True, help="first time: an age such as 24h, or ISO 8601"
    )
    parser.add_argument("--to", dest="end", help="first time after the window (default: now)")
    target = parser.add_mutually_exclusive_group(required=True)
    target.add_argument("--url", help="URL of scoring of the Service to ask, such as https://host/score")
    target.add_argument("--image", help="image to run on this machine with Docker and to ask")
    parser.add_argument(
        "--key-file",
        type=Path,
        help=f"file with the key of the Service (default: the variable {KEY_VARIABLE})",
    )
    parser.add_argument(
        "--ca-file", type=Path, help="PEM file with the authority of the Service's certificate"
    )
    parser.add_argument("--env-file", type=Path, help="variables of the image's container, as for docker run")
    parser.add_argument(
        "--model-name",
        help="name of the asked model in the inference protocol (default: the collected Service)",
    )
    parser.add_argument(
        "--concurrency", type=_within(1, 1000), default=8, help="requests at once (default 8)"
    )
    parser.add_argument(
        "--rate",
        type=_at_least_0,
        help=f"most requests a second; 0 is no limit (default: {SERVICE_RATE:g} for a URL, 0 for an image)",
    )
    parser.add_argument(
        "--timeout", type=_at_least_0, default=60.0, help="seconds for one response (default 60)"
    )
    parser.add_argument("--limit", type=_within(1, 10**12), help="number of rows to read (default: all)")
    parser.add_argument(
        "--tolerance",
        type=_at_least_0,
        default=0.0,
        help="distance of equal numbers, absolute or relative to the larger one (default 0)",
    )
    parser.add_argument(
        "--ignore",
        action="append",
        default=[],
        metavar="PATH",
        help="path in the responses that is not compared, such as data[*].time; may be repeated",
    )
    parser.add_argument(
        "--max-differences",
        type=_within(0, 10**12),
        default=0,
        help="rows that may differ or have no response; more give the exit code 1 (default 0)",
    )
    parser.add_argument("--json", type=Path, help="file for the report as JSON")
    parser.add_argument("--html", type=Path, help="file for the report as a page with charts")


def _within(least: int, most: int) -> Callable[[str], int]:
    def whole(text: str) -> int:
        if not text.isdecimal() or not least <= int(text) <= most:
            raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from {least} to {most}")
        return int(text)

    return whole


def _at_least_0(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value < float("inf"):
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of 0 or more")
    return value
