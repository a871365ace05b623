"""The arguments of `modelyard collected`, without imports of the package: every entry point reads them."""

from __future__ import annotations

import argparse


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the action `delete` with its options to a parser."""
    actions = parser.add_subparsers(dest="action", required=True)
    delete = actions.add_parser("delete", help="delete rows by request id or by a value in them")
    delete.add_argument(
        "store",
        help="URL above the folder modeldata: s3://bucket/prefix, abfs://container@account.dfs.core.windows.net,"
        " gs://bucket, or a folder; credentials are those of the environment",
    )
    delete.add_argument("--namespace", required=True, help="namespace of the Services")
    delete.add_argument("--service", help="name of a Service (default: all)")
    delete.add_argument("--version", help="its version, such as 3 (default: all)")
    delete.add_argument(
        "--from", dest="start", help="first time: an age such as 24h, or ISO 8601 (default: all)"
    )
    delete.add_argument("--to", dest="end", help="first time after the window (default: all)")
    delete.add_argument(
        "--request-id", action="append", default=[], metavar="ID", help="id of a request; may be repeated"
    )
    delete.add_argument(
        "--where",
        action="append",
        default=[],
        metavar="PATH=VALUE",
        help="value at a path of inputs or prediction, or in a column, such as data[*].customer=42. It may be"
        " repeated: rows with one of the values are deleted",
    )
    delete.add_argument("--dry-run", action="store_true", help="count the rows, and write nothing")
