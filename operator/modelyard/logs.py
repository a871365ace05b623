"""Structured logs: one JSON object on each line, or plain text for a terminal."""

from __future__ import annotations

import logging
import sys

from pythonjsonlogger.json import JsonFormatter


def configure(level: str, form: str) -> None:
    """Send all log records of `level` and above to stderr, in the form json or text."""
    handler = logging.StreamHandler(sys.stderr)
    plain = "%(asctime)s %(levelname)s %(name)s %(message)s"
    handler.setFormatter(
        JsonFormatter(plain, rename_fields={"asctime": "time", "levelname": "level", "name": "logger"})
        if form == "json"
        else logging.Formatter(plain)
    )
    logging.basicConfig(level=level, handlers=[handler], force=True)
    # kopf logs a line for each object that appears or disappears.
    logging.getLogger("kopf").setLevel(logging.WARNING)
    # These log a line for each probe of the kubelet, and for each request to the registry.
    for name in ("aiohttp.access", "httpx"):
        logging.getLogger(name).setLevel(logging.WARNING)
