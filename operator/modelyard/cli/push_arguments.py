"""The arguments of `modelyard push`, without imports of the package: every entry point reads them."""

from __future__ import annotations

import argparse
from pathlib import Path


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the file, its name in the registry, and the options of the connection to a parser."""
    parser.add_argument("file", type=Path, help="the model file")
    parser.add_argument("name", metavar="NAME", help="its name: registry.example.com/models/diabetes:1")
    parser.add_argument("--username", help="the user of the registry; by default the login of `docker login`")
    parser.add_argument(
        "--password-stdin", action="store_true", help="read the password or token from standard input"
    )
    parser.add_argument(
        "--insecure", action="store_true", help="connect by http, as a registry on localhost always does"
    )
    parser.add_argument("--ca-file", type=Path, help="a PEM file with the certificates to trust")
